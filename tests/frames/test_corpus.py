"""Videos that others made, whole and broken: see the README in the folder that VIDEO_TOOL_CORPUS names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from tests.frames.workers import busy_workers, worker_reading
from video_tool.errors import DecodeError, DecodeTimeoutError, NoVideoError
from video_tool.frames import read_video
from video_tool.question import Sampling
from video_tool.settings import Settings

CORPUS = Path(os.environ.get("VIDEO_TOOL_CORPUS", ""))
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif("VIDEO_TOOL_CORPUS" not in os.environ, reason="VIDEO_TOOL_CORPUS is not set"),
]


@pytest.fixture(autouse=True)
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", str(CORPUS))


# name, codec, width and height as shown, frames a second, frames
REAL = [
    ("asl_eat.mkv", "h264", 640, 480, 30, 47),
    ("bottle-detection.mp4", "h264", 640, 360, 29.83, 1189),
    ("car-detection.mp4", "h264", 768, 432, 12.5, 377),
    ("people.gif", "gif", 480, 270, 12.1, 23),
    ("pancake.mkv", "h264", 426, 240, 30, 310),
    ("rot_90.mov", "h264", 320, 568, 30, 3),
    ("rot_180.mov", "h264", 568, 320, 30, 3),
    ("nasa_13013.mp4", "h264", 480, 270, 29.97, 390),
    ("nasa_13013_hdr.mp4", "hevc", 320, 180, 25, 325),
    ("nasa_13013_rotated.mp4", "h264", 270, 480, 29.97, 17),
    ("av1_video.mkv", "av1", 640, 360, 25, 125),
    ("testsrc2_vp8.webm", "vp8", 1280, 720, 30, 30),
    ("testsrc2_vp9.webm", "vp9", 1280, 720, 30, 30),
    ("cursed-vfr.mp4", "h264", 3026, 1386, 7.2, 63),
]


@pytest.mark.parametrize(("name", "codec", "width", "height", "fps", "total"), REAL, ids=[case[0] for case in REAL])
def test_real_videos_are_read(name: str, codec: str, width: int, height: int, fps: float, total: int) -> None:
    frames = read_video(CORPUS / "real" / name, Sampling(num_frames=3), Settings())
    assert frames.info.total_frames == total
    assert (frames.info.codec, frames.info.width, frames.info.height) == (codec, width, height)
    assert frames.info.fps == pytest.approx(fps, rel=0.01)
    assert frames.images.shape == (3, height, width, 3)
    assert frames.indices == (0, total // 3, 2 * total // 3)
    assert list(frames.timestamps) == sorted(set(frames.timestamps))
    assert len({image.tobytes() for image in frames.images}) == 3
    assert frames.warnings == ()


TURNED = {"rot_90.mov": 3, "rot_180.mov": 2, "nasa_13013_rotated.mp4": 1}
"""Quarter turns, counterclockwise, as ffprobe tells them."""


@pytest.mark.parametrize("name", [case[0] for case in REAL])
def test_frames_of_real_videos_are_those_that_ffmpeg_shows_then(name: str) -> None:
    frames = read_video(CORPUS / "real" / name, Sampling(num_frames=7), Settings())
    with av.open(str(CORPUS / "real" / name)) as container:
        shown = list(enumerate(container.decode(container.streams.best("video"))))
        start, half = shown[0][1].time, frames.info.duration / len(shown) / 2
        assert start is not None
        for number, frame in shown:
            if number in frames.indices:
                place = frames.indices.index(number)
                assert frame.time is not None
                assert frames.timestamps[place] == pytest.approx(frame.time - start, abs=half)
                expected = np.rot90(frame.to_ndarray(format="rgb24"), TURNED.get(name, 0)).astype(int)
                assert np.abs(frames.images[place] - expected).mean() < 2


# name, frames that are good, the beginning of the warning
IN_PART = [
    ("annex-b.mp4", 6, "annex-b.mp4 is cut off or damaged: 0.50 s of the 35.23 s"),
    ("corrupted.mp4", 49, "corrupted.mp4 is damaged: 1 frame is missing or marred."),
]


@pytest.mark.parametrize(("name", "total", "warning"), IN_PART, ids=[case[0] for case in IN_PART])
def test_good_frames_of_broken_videos_come_with_a_warning(name: str, total: int, warning: str) -> None:
    frames = read_video(CORPUS / "broken" / name, Sampling(num_frames=3), Settings())
    assert frames.info.total_frames == total
    assert frames.images.shape == (3, frames.info.height, frames.info.width, 3)
    assert frames.warnings[0].startswith(warning)


PATCHED_UP = "no_timescale.mp4"


def test_a_video_that_readers_patch_up_comes_with_a_warning_from_either() -> None:
    # decord fills in what it misses, or gives up, as its threads happen to meet; PyAV leaves out what is damaged
    frames = read_video(CORPUS / "broken" / PATCHED_UP, Sampling(num_frames=3), Settings())
    assert frames.images.shape == (3, 240, 320, 3)
    total, warning = {
        "decord": (182, f"{PATCHED_UP} may be damaged: its decoder reported errors"),
        "pyav": (170, f"{PATCHED_UP} is damaged: 33 frames are missing or marred."),
    }[frames.info.reader]
    assert frames.info.total_frames == total
    assert frames.warnings[0].startswith(warning)


NOT_AT_ALL = [
    ("zero.webm", NoVideoError, "zero.webm is empty"),
    ("chunk_out_of_range.mp4", NoVideoError, "it is no video file"),
    ("opus_audioinit.mp4", NoVideoError, "it holds sound and no video stream"),
    ("short-cenc.mp4", DecodeError, "no frame of it can be decoded"),
    ("bipbop_cbcs_video_init.mp4", DecodeError, "no frame of it can be decoded"),
]


@pytest.mark.parametrize(("name", "error", "message"), NOT_AT_ALL, ids=[case[0] for case in NOT_AT_ALL])
def test_broken_videos_are_typed_errors(name: str, error: type[DecodeError], message: str) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        read_video(CORPUS / "broken" / name, Sampling(num_frames=3), Settings())
    assert type(caught.value) is error
    assert caught.value.message.startswith(name)
    assert caught.value.hint
    assert not caught.value.retryable


def test_no_file_of_the_corpus_is_forgotten() -> None:
    known = {case[0] for case in (*REAL, *IN_PART, *NOT_AT_ALL)} | {HANGS.name, PATCHED_UP}
    assert {path.name for folder in ("real", "broken") for path in (CORPUS / folder).iterdir()} == known


HANGS = CORPUS / "broken" / "missing-keyframe-labels.ts"


def test_what_decord_hangs_on_is_read_by_another() -> None:
    frames = read_video(HANGS, Sampling(num_frames=3), Settings())
    assert frames.info.reader == "pyav"
    assert frames.info.total_frames == 600
    assert frames.indices == (0, 200, 400)


def test_a_video_on_which_time_runs_out_leaves_no_busy_process() -> None:
    with pytest.raises(DecodeTimeoutError) as caught:
        read_video(HANGS, Sampling(num_frames=3), Settings(decode_timeout=0.5))
    assert isinstance(caught.value, TimeoutError)
    assert busy_workers() == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_decord_in_an_endless_loop_ends_with_the_process_that_asked(plugin_site: Path) -> None:
    # what decord hangs on, handed to it alone, as a plugin might
    ask = f"""
from video_tool.frames import read_video
from video_tool.question import Sampling
from video_tool.settings import Settings
read_video({str(HANGS)!r}, Sampling(), Settings())
"""
    paths = os.pathsep.join([str(plugin_site), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": paths, "STUBBORN": "1"}
    with subprocess.Popen([sys.executable, "-c", ask], env=env) as asker:
        worker = worker_reading(HANGS, asker.pid)
        asker.kill()
    assert psutil.wait_procs([worker], timeout=60)[1] == []
