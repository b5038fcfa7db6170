"""Indices, timestamps and pixels belong together, whichever reader reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.frames.videos import HEIGHT, WIDTH, even_times, numbered, numbers_in, write_frames
from video_tool.errors import DecodeError, VideoTooLargeError
from video_tool.frames import read_video
from video_tool.frames.containers import FIRST_BYTES, container_of
from video_tool.frames.decord import DecordReader
from video_tool.frames.pyav import PyAVReader
from video_tool.frames.reader import Limits, VideoFile, VideoReader
from video_tool.frames.seeking import SeekingReader
from video_tool.question import Sampling
from video_tool.settings import Settings

COUNT = 50
UNEVEN = [0, *np.cumsum([10 + 290 * (i % 7 == 3) + 30 * (i % 3) for i in range(COUNT - 1)]).tolist()]

LIMITS = Limits(1 << 25, 10**6)


def opened(reader: type[VideoReader], path: Path) -> VideoReader:
    file = VideoFile(path, container_of(path, path.name), guessed=True, first=path.read_bytes()[:FIRST_BYTES])
    return reader(file, LIMITS)


def all_for(path: Path) -> list[VideoReader]:
    """Those of our readers that decode with FFmpeg, and read this container."""
    container = container_of(path, path.name)
    file = VideoFile(path, container, guessed=True, first=b"")
    return [opened(reader, path) for reader in (DecordReader, SeekingReader, PyAVReader) if reader.reads(file)]


def pixels(reader: VideoReader, indices: Sequence[int]) -> NDArray[np.uint8]:
    return np.stack(list(reader.frames(indices)))


@dataclass(frozen=True)
class Case:
    name: str
    codec: str
    times: list[int]
    within: float = 1e-6

    def __str__(self) -> str:
        return f"{self.name}-{'uneven' if self.times is UNEVEN else 'even'}"


CASES = [
    Case("a.mp4", "libx264", even_times(COUNT)),
    Case("a.mp4", "libx264", UNEVEN),
    Case("a.mov", "libx264", even_times(COUNT, 10)),
    Case("a.webm", "libvpx-vp9", even_times(COUNT)),
    Case("a.webm", "libvpx-vp9", UNEVEN),
    Case("a.webm", "libvpx", even_times(COUNT, 50)),
    Case("a.mkv", "libx264", UNEVEN),
    Case("a.mkv", "ffv1", UNEVEN),
    Case("a.mkv", "libsvtav1", even_times(COUNT)),
    Case("a.gif", "gif", even_times(COUNT)),
    Case("a.gif", "gif", [time // 10 * 10 for time in UNEVEN], 0.0101),  # a GIF counts hundredths of a second
    Case("a.avi", "mpeg4", even_times(COUNT)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_readers_agree_with_what_was_written(case: Case, tmp_path: Path) -> None:
    path = write_frames(tmp_path / case.name, numbered(COUNT), times=case.times, codec=case.codec)
    every_third = range(1, COUNT, 3)
    for reader in all_for(path):
        metadata = reader.metadata()
        assert (metadata.width, metadata.height) == (WIDTH, HEIGHT)
        assert metadata.damaged == 0
        assert metadata.timestamps == pytest.approx([time / 1000 for time in case.times], abs=case.within)
        assert metadata.timestamps[-1] < metadata.duration < metadata.timestamps[-1] + 0.5
        images = pixels(reader, every_third)
        assert images.shape == (len(every_third), HEIGHT, WIDTH, 3)
        assert images.dtype == np.uint8
        assert numbers_in(images) == list(every_third)
        assert numbers_in(pixels(reader, [COUNT - 1])) == [COUNT - 1]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pyav_reads_a_transport_stream_which_decord_does_not(codec: str, tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_frames(tmp_path / "a.ts", numbered(COUNT), codec=codec, options=options)
    with pytest.raises(DecodeError):
        opened(DecordReader, path).metadata()
    reader = opened(PyAVReader, path)
    assert reader.metadata().timestamps == pytest.approx([time / 1000 for time in even_times(COUNT)], abs=1e-6)
    assert numbers_in(pixels(reader, [0, 7, 49])) == [0, 7, 49]


@pytest.mark.parametrize("rotation", [90, 180, 270, -90])
def test_a_turned_video_is_put_upright(rotation: int, tmp_path: Path) -> None:
    frames = np.zeros((5, 64, 128, 3), np.uint8)
    frames[:, :32, :64] = 255  # the upper left quarter
    path = write_frames(tmp_path / "a.mp4", frames, rotation=rotation)
    for reader in all_for(path):
        metadata, images = reader.metadata(), pixels(reader, [0, 4])
        upright = np.rot90(frames[[0, 4]], rotation // 90, axes=(1, 2))
        assert images.shape == upright.shape
        assert (metadata.height, metadata.width) == images.shape[1:3]
        assert np.array_equal(images > 127, upright > 127)


def test_a_matrix_that_turns_by_nothing_sensible_is_left_aside(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(5))
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 44
    path.write_bytes(content[:matrix] + bytes(32) + content[matrix + 32 :])
    reader = opened(PyAVReader, path)
    metadata = reader.metadata()
    assert (metadata.width, metadata.height) == (WIDTH, HEIGHT)
    assert numbers_in(pixels(reader, range(5))) == list(range(5))


@pytest.mark.parametrize("reader", [DecordReader, SeekingReader, PyAVReader])
def test_a_single_frame_lasts_a_moment(reader: type[VideoReader], tmp_path: Path) -> None:
    metadata = opened(reader, write_frames(tmp_path / "a.mp4", numbered(1))).metadata()
    assert list(metadata.timestamps) == [0.0]
    assert 0 < metadata.duration < 1


@pytest.mark.parametrize("reader", [DecordReader, SeekingReader, PyAVReader])
def test_what_is_no_video_is_a_typed_error(reader: type[VideoReader], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x14ftypisom" + bytes(100))
    with pytest.raises(DecodeError) as caught:
        opened(reader, path).metadata()
    assert len(caught.value.message.splitlines()) == 1


def test_keyframes_are_known_to_all(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(COUNT), options={"g": "12", "sc_threshold": "0"})
    for reader in all_for(path):
        reader.metadata()
        assert list(reader.keyframes()) == [0, 12, 24, 36, 48]


OPEN = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"
OPEN_GROUPS = [
    ("a.mp4", "libx264", {"x264-params": OPEN}),
    ("a.mkv", "libx264", {"x264-params": OPEN}),
    ("a.mp4", "libx265", {"x265-params": f"{OPEN}:log-level=none"}),
    ("a.avi", "mpeg4", {"g": "12", "bf": "2"}),
    ("a.mpg", "mpeg2video", {"g": "12", "bf": "2"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), OPEN_GROUPS)
def test_frames_shown_before_a_keyframe_and_decoded_after_it(
    name: str, codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    """decord counts keyframes in the order of decoding, and would be some frames off."""
    path = write_frames(tmp_path / name, numbered(COUNT), codec=codec, options=options)
    settings = Settings(max_frames=COUNT)
    for indices in [range(COUNT), range(10, COUNT, 7), [25], [47], [12, 13]]:
        frames = read_video(path, Sampling(timestamps=tuple(index / 25 + 0.01 for index in indices)), settings)
        assert numbers_in(frames.images) == list(indices)
        assert frames.timestamps == pytest.approx([index / 25 for index in indices], abs=1e-3)
        assert frames.warnings == ()
    assert frames.info.total_frames == COUNT
    assert frames.info.reader in ("pyav-seeking", "pyav")


def test_a_seeking_reader_gives_up_where_a_packet_lies(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(COUNT), options={"g": "12"}, muxing={"movflags": "faststart"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-300] + bytes(300))
    reader = opened(SeekingReader, path)
    assert len(reader.metadata().timestamps) == COUNT
    assert numbers_in(pixels(reader, [1])) == [1]
    with pytest.raises(DecodeError):
        pixels(reader, [COUNT - 1])


@pytest.mark.parametrize("reader", [DecordReader, SeekingReader, PyAVReader])
@pytest.mark.parametrize("limits", [Limits(WIDTH * HEIGHT - 1, 99), Limits(10**6, COUNT - 1)])
def test_a_reader_keeps_to_limits(reader: type[VideoReader], limits: Limits, tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(COUNT))
    with pytest.raises((VideoTooLargeError, DecodeError)):
        reader(VideoFile(path, "mov", guessed=True, first=b""), limits).metadata()
