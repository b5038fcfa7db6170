"""Decoding happens in a process of its own: whatever becomes of that, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from tests.frames.videos import numbered, numbers_in, write_frames
from tests.frames.workers import next_worker, workers_of
from video_tool.errors import DecodeError, DecodeTimeoutError
from video_tool.frames import read_video
from video_tool.progress import Progress
from video_tool.question import Sampling
from video_tool.settings import Settings

ASK_IN_PYTHON = """
import sys
from pathlib import Path
from video_tool.frames import read_video
from video_tool.question import Sampling
from video_tool.settings import Settings
read_video(Path(sys.argv[1]).read_bytes(), Sampling(num_frames=4), Settings())
"""


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("worker") / "clip.mp4", numbered(50))


class Killer:
    """Kills the next `count` workers of this process, from when decoding starts."""

    def __init__(self, count: int) -> None:
        self.killed: list[int] = []
        self._thread = threading.Thread(target=self._kill, args=(count,))

    def _kill(self, count: int) -> None:
        while len(self.killed) < count:
            worker = next_worker()
            if worker.pid not in self.killed:
                worker.kill()
                self.killed.append(worker.pid)

    def __call__(self, progress: Progress) -> None:
        if (progress.stage, progress.done) == ("decode", 0):
            self._thread.start()

    def join(self) -> None:
        self._thread.join()


def test_a_reader_that_dies_makes_room_for_the_next(video: Path) -> None:
    killer = Killer(1)
    frames = read_video(video, Sampling(num_frames=4), Settings(), killer)
    killer.join()
    assert frames.info.reader == "pyav"
    assert numbers_in(frames.images) == list(frames.indices) == [0, 12, 25, 37]
    assert workers_of() == []


def test_all_readers_dying_is_a_typed_error(video: Path, temp: Path) -> None:
    killer = Killer(2)
    with pytest.raises(DecodeError, match=r"bytes: pyav crashed on it \(exit status -9\)") as caught:
        read_video(video.read_bytes(), Sampling(num_frames=4), Settings(), killer)
    killer.join()
    assert caught.value.hint
    assert workers_of() == []
    assert list(temp.iterdir()) == []


def test_no_time_to_decode_is_a_typed_error(video: Path, temp: Path) -> None:
    with pytest.raises(DecodeTimeoutError, match=r"reading bytes took longer than 0\.02 s") as caught:
        read_video(video.read_bytes(), Sampling(num_frames=4), Settings(decode_timeout=0.02))
    assert "VIDEO_TOOL_DECODE_TIMEOUT" in caught.value.hint
    assert workers_of() == []
    assert list(temp.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_leaves_no_process_and_no_file(video: Path, temp: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASK_IN_PYTHON, str(video)],
        env=os.environ | {"TMPDIR": str(temp)},
        stderr=subprocess.PIPE,
    ) as asker:
        worker = next_worker(asker.pid)
        written = list(temp.iterdir())
        asker.send_signal(signal.SIGINT)
        _, said = asker.communicate(timeout=60)
    assert len(written) == 1
    assert b"KeyboardInterrupt" in said
    assert psutil.wait_procs([worker], timeout=60)[1] == []
    assert list(temp.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_worker_that_was_left_alone_ends_by_itself(video: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ASK_IN_PYTHON, str(video)], stderr=subprocess.DEVNULL) as asker:
        worker = next_worker(asker.pid)
        asker.kill()
    assert psutil.wait_procs([worker], timeout=60)[1] == []
