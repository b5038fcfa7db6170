"""What a video is, told without its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.frames.videos import HEIGHT, WIDTH, numbered, write_frames, write_sound
from video_tool.errors import NoVideoError, QuestionError
from video_tool.frames import probe_video, read_video
from video_tool.question import FrameSequence, Sampling
from video_tool.settings import Settings

SETTINGS = Settings()
COUNT = 50


def write_both(path: Path) -> Path:
    """A video of 50 frames with a second of silence beside it, in Dutch."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"g": "10", "sc_threshold": "0"})
        video.height, video.width, video.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        sound: Any = container.add_stream("aac", rate=16000, layout="mono")
        sound.metadata["language"] = "dut"
        for pixels in numbered(COUNT):
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        for number in range(16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, number * 1024
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return path


def test_a_file_with_sound(tmp_path: Path) -> None:
    path = write_both(tmp_path / "a.mp4")
    report = probe_video(path, SETTINGS)
    assert (report.name, report.container, report.size_bytes) == ("a.mp4", "mov", path.stat().st_size)
    assert report.bit_rate == pytest.approx(8 * path.stat().st_size / 2, rel=0.01)
    assert report.video == read_video(path, Sampling(num_frames=1), SETTINGS).info
    assert report.keyframes == 5
    seen, heard = report.streams
    assert (seen.kind, seen.codec, seen.profile, seen.read) == ("video", "h264", "High", True)
    assert (seen.width, seen.height, seen.pixel_format, seen.rotation) == (WIDTH, HEIGHT, "yuv420p", 0)
    assert seen.fps == pytest.approx(25)
    assert (heard.kind, heard.codec, heard.read, heard.language) == ("audio", "aac", False, "dut")
    assert (heard.sample_rate, heard.channels) == (16000, 1)
    assert {ceiling.setting: (ceiling.value, ceiling.ceiling, ceiling.exceeded) for ceiling in report.ceilings} == {
        "max_pixels": (WIDTH * HEIGHT, SETTINGS.max_pixels, False),
        "max_video_frames": (COUNT, SETTINGS.max_video_frames, False),
        "max_video_seconds": (pytest.approx(2.0, abs=0.01), SETTINGS.max_video_seconds, False),
    }
    assert report.warnings == ()
    assert report.refusal is None


def test_a_turned_file_says_so_as_ffprobe_does(tmp_path: Path) -> None:
    report = probe_video(write_frames(tmp_path / "a.mp4", numbered(3), rotation=90), SETTINGS)
    assert report.streams[0].rotation == 90
    assert (report.streams[0].width, report.streams[0].height) == (WIDTH, HEIGHT)
    assert report.video
    assert (report.video.width, report.video.height) == (HEIGHT, WIDTH)


def test_a_damaged_file_comes_with_its_warnings(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mkv", numbered(COUNT), options={"g": "5"})
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
    report = probe_video(path, SETTINGS)
    assert report.video
    assert report.video.total_frames < COUNT
    assert "cut off or damaged" in report.warnings[0]
    assert report.refusal is None


def test_an_animation_that_ffmpeg_does_not_read(tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in numbered(6)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:])
    report = probe_video(tmp_path / "a.webp", SETTINGS)
    assert (report.container, report.streams, report.keyframes) == ("webp", (), 1)
    assert report.video
    assert (report.video.total_frames, report.video.reader) == (6, "pillow")


def test_frames_that_were_handed_in() -> None:
    report = probe_video(FrameSequence(numbered(COUNT), fps=25, name="camera"), SETTINGS)
    assert (report.name, report.size_bytes, report.streams, report.keyframes) == ("camera", None, (), COUNT)
    assert report.video
    assert report.video.duration == 2


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoVideoError, match="sound and no video"):
        probe_video(write_sound(tmp_path / "a.m4a"), SETTINGS)
    with pytest.raises(QuestionError):
        probe_video(numbered(3), SETTINGS)  # type: ignore[arg-type]
