"""A video may be given in many ways: the frames are always the same."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.frames.videos import HEIGHT, WIDTH, numbered, numbers_in, write_frames
from tests.serve import serve
from video_tool.errors import DecodeError, QuestionError
from video_tool.frames import Frames, read_video
from video_tool.progress import Progress
from video_tool.question import FrameSequence, Sampling
from video_tool.settings import Settings

SETTINGS = Settings(num_frames=8, max_frames=64, allowed_hosts=("127.0.0.1",))
COUNT = 50


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("reading") / "clip.mp4", numbered(COUNT))


def read(video: Any, **sampling: float) -> Frames:
    return read_video(video, Sampling.model_validate(sampling), SETTINGS)


def check(frames: Frames, indices: list[int]) -> None:
    """Indices, timestamps and pixels are those of the asked frames of a video at 25 frames a second."""
    assert list(frames.indices) == indices
    assert frames.timestamps == pytest.approx([index / 25 for index in indices], abs=1e-6)
    assert numbers_in(frames.images) == indices


def test_every_way_to_give_a_file_gives_the_same_frames(video: Path) -> None:
    with serve() as site, video.open("rb") as opened:
        url = site.put("/folder/clip.mp4", video.read_bytes(), content_type="video/mp4")
        ways = {
            "clip.mp4": [video, str(video), opened, f"{url}?signature=secret"],
            "bytes": [video.read_bytes()],
            "file object": [BytesIO(video.read_bytes())],
        }
        for name, given in ways.items():
            for way in given:
                frames = read(way, num_frames=4)
                check(frames, [0, 12, 25, 37])
                assert frames.info.name == name
                assert frames.warnings == ()
                assert frames.fetch_seconds >= 0
                assert frames.decode_seconds > 0


def test_what_is_known_of_a_file(video: Path) -> None:
    info = read(video, num_frames=1).info
    assert info.model_dump() == {
        "name": "clip.mp4",
        "width": WIDTH,
        "height": HEIGHT,
        "duration": pytest.approx(2.0, abs=1e-3),
        "fps": pytest.approx(25, abs=0.1),
        "total_frames": COUNT,
        "codec": "h264",
        "reader": "pyav-seeking",
        "from_cache": False,
        "frames_from_cache": False,
    }


def test_the_rate_of_an_uneven_video_is_its_average(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mkv", numbered(5), times=[0, 40, 80, 1960, 2000])
    info = read(path, num_frames=1).info
    assert info.fps == pytest.approx(info.total_frames / info.duration)
    assert info.fps < 3


@pytest.mark.parametrize(
    ("sampling", "indices"),
    [
        ({}, [0, 6, 12, 18, 25, 31, 37, 43]),
        ({"num_frames": 3, "start": 1.0}, [25, 33, 41]),
        ({"num_frames": 2, "start": 0.2, "end": 0.28}, [5, 6]),
        ({"fps": 5}, list(range(0, COUNT, 5))),
    ],
)
def test_sampling_of_a_file(video: Path, sampling: dict[str, float], indices: list[int]) -> None:
    check(read(video, **sampling), indices)


def test_sampling_of_uneven_times(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.webm", numbered(5), times=[0, 1000, 1100, 1200, 5000], codec="libvpx-vp9")
    frames = read(path, fps=1, end=5.5)
    assert numbers_in(frames.images) == list(frames.indices) == [0, 1, 3, 4]
    assert frames.timestamps == pytest.approx([0.0, 1.0, 1.2, 5.0])
    assert len(frames.warnings) == 1


def test_fewer_frames_than_asked_for_come_with_a_warning(video: Path) -> None:
    frames = read(video, num_frames=60)
    check(frames, list(range(COUNT)))
    assert frames.warnings == ("clip.mp4 has 50 frames in range, fewer than the 60 asked for.",)


def test_a_range_past_the_end_is_the_questions_fault(video: Path) -> None:
    with pytest.raises(QuestionError, match=r"clip\.mp4 is 2\.00 s long"):
        read(video, start=2.5)


def test_news_of_decoding(video: Path) -> None:
    news: list[Progress] = []
    read_video(video, Sampling(num_frames=4), SETTINGS, news.append)
    assert news == [Progress("decode", "clip.mp4", 0, None, "frames"), Progress("decode", "clip.mp4", 4, 4, "frames")]


ARRAYS = numbered(COUNT)


@pytest.mark.parametrize(
    "frames",
    [ARRAYS, list(ARRAYS), [Image.fromarray(a) for a in ARRAYS], [Image.fromarray(a).convert("L") for a in ARRAYS]],
    ids=["array", "arrays", "images", "grey images"],
)
def test_frames_that_are_decoded_already(frames: Any) -> None:
    check(read(FrameSequence(frames, fps=25), num_frames=4), [0, 12, 25, 37])
    check(read(FrameSequence(frames, timestamps=[i / 25 for i in range(COUNT)]), num_frames=4), [0, 12, 25, 37])
    info = read(FrameSequence(frames, fps=25, name="camera"), num_frames=1).info
    assert (info.name, info.width, info.height, info.total_frames) == ("camera", WIDTH, HEIGHT, COUNT)
    assert (info.reader, info.codec, info.fps, info.duration) == ("given", "", 25, 2)


def test_timestamps_of_decoded_frames_are_kept() -> None:
    frames = read(FrameSequence(ARRAYS[:4], timestamps=[5, 5.5, 7, 8]), num_frames=2, start=5.5)
    assert frames.indices == (1, 2)
    assert frames.timestamps == (5.5, 7.0)
    assert frames.info.duration == 9
    assert read(FrameSequence(ARRAYS[:1], timestamps=[3])).timestamps == (3,)


@pytest.mark.parametrize(
    "given",
    [
        FrameSequence([], fps=25),
        FrameSequence(ARRAYS),
        FrameSequence(ARRAYS, fps=0),
        FrameSequence(ARRAYS, fps=math.inf),
        FrameSequence(ARRAYS, fps=math.nan),
        FrameSequence(ARRAYS[:3], timestamps=[0, 1]),
        FrameSequence(ARRAYS[:3], timestamps=[0, 2, 1]),
        FrameSequence(ARRAYS[:3], timestamps=[0, 1, 1]),
        FrameSequence(ARRAYS[:3], timestamps=[-1, 0, 1]),
        FrameSequence(ARRAYS[:3], timestamps=[0, math.nan, 2]),
        FrameSequence(ARRAYS[:3], timestamps=[0, 1, math.nan]),
        FrameSequence(ARRAYS[:3], timestamps=[0, 1, math.inf]),
        FrameSequence(ARRAYS[:1], timestamps=[math.nan]),
        FrameSequence(ARRAYS[..., 0], fps=25),
        FrameSequence(ARRAYS.astype(np.float32), fps=25),
        FrameSequence([ARRAYS[0], ARRAYS[1].astype(np.float32)], fps=25),
        FrameSequence([ARRAYS[0], ARRAYS[1][:8]], fps=25),
    ],
)
def test_decoded_frames_that_make_no_video_are_refused(given: FrameSequence) -> None:
    with pytest.raises(QuestionError) as caught:
        read(given)
    assert caught.value.hint


def test_a_folder_of_numbered_images_is_a_video(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    (folder / "notes.txt").write_text("no image")
    for number, frame in enumerate(ARRAYS[:12]):
        Image.fromarray(frame).save(folder / f"cam2_{number}.png")
    frames = read(FrameSequence.from_folder(folder, fps=4), num_frames=4)
    assert numbers_in(frames.images) == list(frames.indices) == [0, 3, 6, 9]
    assert frames.timestamps == (0, 0.75, 1.5, 2.25)
    assert (frames.info.name, frames.info.duration, frames.info.total_frames) == ("shots", 3, 12)


def test_only_the_images_that_are_looked_at_are_read(tmp_path: Path) -> None:
    for number, frame in enumerate(ARRAYS[:4]):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"no image")
    assert numbers_in(read(FrameSequence.from_folder(tmp_path, fps=1), num_frames=2).images) == [0, 2]
    with pytest.raises(DecodeError, match=r"1\.png can't be read as an image"):
        read(FrameSequence.from_folder(tmp_path, fps=1), num_frames=4)


@pytest.mark.parametrize("name", ["gone", "."])
def test_a_folder_without_numbered_images_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="no folder of numbered images"):
        FrameSequence.from_folder(tmp_path / name, fps=1)


@pytest.mark.parametrize("bare", [ARRAYS, list(ARRAYS), tuple(ARRAYS), ARRAYS[0], [Image.fromarray(ARRAYS[0])]])
def test_bare_frames_are_refused_with_a_way_out(bare: Any) -> None:
    with pytest.raises(QuestionError) as caught:
        read(bare)
    assert "FrameSequence(frames, fps=…)" in caught.value.hint
