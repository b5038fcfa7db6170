"""A video that can be read in part gives its good frames, and says so."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.frames.videos import numbered, numbers_in, write_frames
from video_tool.errors import NoVideoError
from video_tool.frames import probe_video, read_video
from video_tool.frames.header import Header, read_header, shortcomings
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata
from video_tool.question import Sampling
from video_tool.settings import Settings

SETTINGS = Settings()
LIMITS = Limits(1 << 25, 10**6)
EVERY_FRAME_ALONE = {"g": "1"}


def header(path: Path) -> Header:
    _, header, container = read_header(VideoFile(path, "mov", guessed=False, first=b""), LIMITS)
    container.close()
    return header


def noisy(count: int) -> np.ndarray:
    """Numbered frames that don't compress to nothing, so that a file of them can be cut."""
    frames = numbered(count)
    return np.where(
        frames > 127, 255 - (noise := np.random.default_rng(0).integers(0, 60, frames.shape)), noise
    ).astype(np.uint8)


def test_a_whole_video_gives_no_warning(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(50))
    assert header(path) == Header("h264", 64, 32, 50, pytest.approx(2.0))
    assert read_video(path, Sampling(num_frames=5), SETTINGS).warnings == ()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_video_cut_off_gives_its_good_frames_with_a_warning(name: str, tmp_path: Path) -> None:
    whole = write_frames(
        tmp_path / name, noisy(50), options=EVERY_FRAME_ALONE, muxing={"movflags": "faststart"} if "mp4" in name else {}
    )
    cut = tmp_path / f"cut{whole.suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames = read_video(cut, Sampling(num_frames=4), SETTINGS)
    assert numbers_in(frames.images) == list(frames.indices)
    assert 10 < frames.info.total_frames < 40
    assert len(frames.warnings) >= 1
    assert f"{cut.name} is cut off or damaged" in frames.warnings[0]
    assert "of the 2.00 s" in frames.warnings[0]


def test_a_damaged_frame_is_left_out_with_a_warning(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", noisy(20), options=EVERY_FRAME_ALONE)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][7]
    content = bytearray(path.read_bytes())
    content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(content)
    frames = read_video(path, Sampling(num_frames=20), SETTINGS)
    assert frames.info.reader == "pyav"
    assert numbers_in(frames.images) == [number for number in range(20) if number != 7]
    assert frames.warnings[0] == "a.mp4 is damaged: 1 frame is missing or marred."


def test_a_damaged_frame_that_is_patched_up_comes_with_a_warning(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", noisy(20).repeat(4, axis=1).repeat(4, axis=2))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][7]
    content = bytearray(path.read_bytes())
    start = packet.pos + packet.size // 10
    content[start : start + packet.size // 2] = b"\xff" * (packet.size // 2)
    path.write_bytes(content)
    frames = read_video(path, Sampling(num_frames=4), SETTINGS)
    assert frames.info.total_frames >= 19
    assert frames.warnings[0].startswith(("a.mp4 may be damaged: its decoder reported errors", "a.mp4 is damaged: 1 "))


def test_the_codec_goes_by_its_own_name_and_not_the_decoders(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mkv", numbered(5), codec="libsvtav1")
    report = probe_video(path, SETTINGS)
    assert report.video
    assert report.video.codec == report.streams[0].codec == "av1"


def test_ffmpeg_guesses_a_container_as_its_first_bytes_tell(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.bin", numbered(5), container="matroska")
    file, _, container = read_header(VideoFile(path, "matroska", guessed=False, first=b""), LIMITS)
    container.close()
    assert file.guessed


@pytest.mark.parametrize("container", ["mov", "matroska", "gif", "avi"])
def test_a_file_that_is_not_what_its_first_bytes_tell_is_no_video(container: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(NoVideoError):
        read_header(VideoFile(path, container, guessed=False, first=b""), LIMITS)


@pytest.mark.parametrize(
    ("declared", "warned"),
    [
        (Header("h264", 64, 32, 100, 4.0), False),
        (Header("h264", 64, 32, 100, 4.4), False),  # headers are often a little wrong
        (Header("h264", 64, 32, 100, 9.0), False),  # all its frames are there
        (Header("h264", 64, 32, 150, 4.0), False),  # an edit list leaves some out
        (Header("h264", 64, 32, 150, 6.0), True),
        (Header("h264", 64, 32, 0, 6.0), True),
        (Header("h264", 64, 32, 0, 0.0), False),
    ],
)
def test_frames_and_seconds_have_to_be_missing(declared: Header, warned: bool) -> None:
    read = VideoMetadata(64, 32, tuple(i / 25 for i in range(100)), 4.0)
    assert bool(shortcomings("a.mp4", read, declared)) == warned


def test_frames_missing_within() -> None:
    read = VideoMetadata(64, 32, (0.0, 0.04), 0.08, damaged=3)
    assert shortcomings("a.mp4", read, Header()) == ["a.mp4 is damaged: 3 frames are missing or marred."]
