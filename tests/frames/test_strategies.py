"""Keyframes, scenes and timestamps, found in real files and in frames that were handed in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.frames.videos import numbered, numbers_in, write_frames
from tests.plugin_distribution.other_plugins.readers import write_scripted
from video_tool.errors import DecodeError, QuestionError
from video_tool.frames import read_video
from video_tool.frames.scenes import find_cuts
from video_tool.question import FrameSequence, Sampling
from video_tool.settings import Settings

SETTINGS = Settings()
COUNT = 60
CUTS = [17, 40]


def scenes(height: int = 90, width: int = 120) -> NDArray[np.uint8]:
    """Three scenes of a square that moves over a noisy ground; the cuts change the ground."""
    rng = np.random.default_rng(4)
    frames = np.empty((COUNT, height, width, 3), np.uint8)
    for number in range(COUNT):
        colour = [(30, 60, 120), (140, 40, 60), (90, 110, 30)][sum(number >= cut for cut in CUTS)]
        frames[number] = np.clip(rng.normal(colour, 6, (height, width, 3)), 0, 255)
        frames[number, 20:50, number : number + 30] = 250
    return frames


def test_keyframes_of_a_file(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(COUNT), options={"g": "12", "sc_threshold": "0"})
    frames = read_video(path, Sampling(strategy="keyframes", num_frames=3), SETTINGS)
    assert list(frames.indices) == numbers_in(frames.images) == [0, 24, 36]
    assert frames.warnings == ()


def test_keyframes_where_frames_are_shown_in_another_order_than_decoded(tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"}
    path = write_frames(tmp_path / "a.mp4", numbered(COUNT), options=options)
    frames = read_video(path, Sampling(strategy="keyframes", num_frames=5), SETTINGS)
    assert list(frames.indices) == numbers_in(frames.images) == [0, 12, 24, 36, 48]


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("a.gif", "gif"), ("a.webm", "libvpx-vp9")])
def test_keyframes_of_other_containers(name: str, codec: str, tmp_path: Path) -> None:
    path = write_frames(tmp_path / name, numbered(COUNT), codec=codec, options={} if codec == "gif" else {"g": "12"})
    frames = read_video(path, Sampling(strategy="keyframes", num_frames=5), SETTINGS)
    assert list(frames.indices) == numbers_in(frames.images)
    assert frames.indices[0] == 0
    assert len(frames.indices) == (1 if codec == "gif" else 5)


def test_every_frame_that_was_handed_in_stands_by_itself() -> None:
    given = FrameSequence(numbered(COUNT), fps=25)
    frames = read_video(given, Sampling(strategy="keyframes", num_frames=4), SETTINGS)
    assert frames.indices == (0, 15, 30, 45)


@pytest.mark.parametrize("reader", ["pyav-seeking", "decord", "pyav", "given"])
def test_scenes(reader: str, tmp_path: Path) -> None:
    video = {
        "pyav-seeking": lambda: write_frames(tmp_path / "a.mp4", scenes()),
        "decord": lambda: write_frames(tmp_path / "a.avi", scenes(), codec="mpeg4"),
        "pyav": lambda: write_frames(tmp_path / "a.ts", scenes()),
        "given": lambda: FrameSequence(scenes(), fps=25),
    }[reader]()
    frames = read_video(video, Sampling(strategy="scenes", num_frames=3), SETTINGS)
    assert frames.info.reader == reader
    assert frames.indices == (8, 28, 50)  # the middle of each
    assert frames.warnings == ()
    later = read_video(video, Sampling(strategy="scenes", num_frames=2, start=20 / 25), SETTINGS)
    assert later.indices == (30, 50)
    two = read_video(video, Sampling(strategy="scenes", num_frames=2), SETTINGS)
    assert two.indices == (8, 28)
    assert "3 scenes" in two.warnings[0]


def test_cuts_are_found_at_every_size_and_nowhere_else() -> None:
    assert list(find_cuts(scenes())) == CUTS
    assert list(find_cuts(scenes(480, 640))) == CUTS
    assert list(find_cuts(scenes()[CUTS[0] : CUTS[1]])) == []
    assert list(find_cuts([])) == []
    wide = np.zeros((3, 1, 600, 3), np.uint8)
    assert list(find_cuts(wide)) == []


def test_timestamps_of_a_file(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(COUNT))
    frames = read_video(path, Sampling(timestamps=(2.0, 0.41, 1.0)), SETTINGS)
    assert list(frames.indices) == numbers_in(frames.images) == [10, 25, 50]
    assert frames.timestamps == pytest.approx((0.4, 1.0, 2.0))
    with pytest.raises(QuestionError, match=r"2\.5 s is not in the range of a\.mp4"):
        read_video(path, Sampling(timestamps=(2.5,)), SETTINGS)


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize("script", ["falling keyframes", "abort in keyframes", "raise in keyframes"])
def test_whatever_a_reader_says_of_keyframes_is_a_typed_error_at_the_worst(script: str, tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "a.mp4", script)
    with pytest.raises(DecodeError):
        read_video(path, Sampling(strategy="keyframes", num_frames=2), SETTINGS)
    frames = read_video(write_scripted(tmp_path / "b.mp4"), Sampling(strategy="keyframes", num_frames=2), SETTINGS)
    assert frames.indices == (0, 20)
