"""Decoding happens in processes of its own: whatever becomes of those, the asking one goes on and nothing is left."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.frames.videos import numbered, numbers_in, write_frames
from tests.frames.workers import busy_workers, none_left, wait_a_moment, worker_reading, workers_of
from tests.plugin_distribution.other_plugins.readers import write_scripted
from tests.programs import unmeasured
from tests.serve import serve
from video_tool.errors import DecodeError, DecodeTimeoutError, QuestionError, VideoTooLargeError
from video_tool.frames import read_video
from video_tool.frames.pool import POOL
from video_tool.question import Sampling
from video_tool.settings import Settings

pytestmark = pytest.mark.usefixtures("unmeasured_workers")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
SETTINGS = Settings(decode_timeout=60)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("pool") / "clip.mp4", numbered(50))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    shared = _shared_memory()
    with none_left():
        yield
    assert _shared_memory() == shared


def _shared_memory() -> set[str]:
    """What is there, but for semaphores, which are other programs'."""
    folder = Path("/dev/shm")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {name for name in names if not name.startswith("sem.")}


def check(video: Path) -> None:
    frames = read_video(video, Sampling(num_frames=4), SETTINGS)
    assert frames.info.reader == "pyav-seeking"
    assert numbers_in(frames.images) == list(frames.indices) == [0, 12, 25, 37]


def test_one_process_serves_one_question_after_the_other(video: Path) -> None:
    check(video)
    (worker,) = workers_of()
    check(video)
    with pytest.raises(QuestionError):
        read_video(video, Sampling(start=99), SETTINGS)
    check(video)
    assert workers_of() == [worker]
    assert worker.open_files() == []


def test_frames_outlive_the_process_and_can_be_changed(video: Path) -> None:
    frames = read_video(video, Sampling(num_frames=4), SETTINGS)
    POOL.end()
    assert numbers_in(frames.images) == [0, 12, 25, 37]
    frames.images[:] = 0
    assert not frames.images.any()


def test_threads_get_the_frames_that_they_get_one_after_another(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    videos = [
        write_frames(tmp_path / f"{n}.mp4", rng.integers(0, 256, (60, 96, 128 + 16 * n, 3), np.uint8)) for n in range(4)
    ]

    def read(video: Path) -> tuple[object, ...]:
        frames = read_video(video, Sampling(num_frames=7), SETTINGS)
        return frames.images.tobytes(), frames.indices, frames.timestamps, frames.info

    alone = [read(video) for video in videos]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            assert list(threads.map(read, videos)) == alone
    assert len(workers_of()) <= max(2, os.cpu_count() or 1)


@pytest.mark.parametrize("place", ["in metadata", "in frames"])
@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("abort", r"decoding crashed \(exit status -6\)"),
        ("exit", r"decoding crashed \(exit status 0\)"),
        ("grab", r"decoding it takes more memory than VIDEO_TOOL_DECODE_MEMORY allows"),
        ("raise", r"its reader failed: ZeroDivisionError: of its own"),
        ("give-up", r"it is not to its taste"),
    ],
)
@pytest.mark.usefixtures("plugged")
def test_whatever_a_reader_does_is_a_typed_error(
    action: str, message: str, place: str, tmp_path: Path, video: Path
) -> None:
    broken = write_scripted(tmp_path / "broken.mp4", f"{action} {place}")
    with pytest.raises(DecodeError, match=f"broken.mp4: {message}") as caught:
        read_video(broken, Sampling(num_frames=4), SETTINGS)
    assert caught.value.hint
    assert workers_of() == []
    check(video)


def test_a_reader_that_leaves_a_file_to_another_leaves_the_process_warm(tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"}
    path = write_frames(tmp_path / "a.mp4", numbered(50), options=options)
    frames = read_video(path, Sampling(num_frames=4), SETTINGS)
    assert frames.info.reader == "pyav-seeking"
    (worker,) = workers_of()
    read_video(path, Sampling(num_frames=4), SETTINGS)
    assert workers_of() == [worker]
    assert worker.open_files() == []


@pytest.mark.parametrize("script", ["no timestamps", "falling timestamps", "another size"])
@pytest.mark.usefixtures("plugged")
def test_nonsense_from_a_reader_is_a_typed_error(script: str, tmp_path: Path) -> None:
    broken = write_scripted(tmp_path / "broken.mp4", script)
    with pytest.raises(DecodeError, match=r"broken.mp4: (decoding it gave nonsense|a frame is \(33, 48, 3\) of uint8)"):
        read_video(broken, Sampling(num_frames=4), SETTINGS)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64") or sys.platform != "linux", reason="no seccomp")
@pytest.mark.usefixtures("plugged")
def test_the_network_is_closed_to_whoever_decodes(tmp_path: Path) -> None:
    with serve() as site:
        port = site.url.rpartition(":")[2]
        with pytest.raises(DecodeError, match="PermissionError"):
            read_video(write_scripted(tmp_path / "a.mp4", f"connect in metadata {port}"), Sampling(), SETTINGS)
        assert site.hits.total() == 0


@pytest.mark.usefixtures("plugged")
def test_much_talk_holds_nothing_up(tmp_path: Path) -> None:
    frames = read_video(write_scripted(tmp_path / "a.mp4", "talk in frames"), Sampling(num_frames=4), SETTINGS)
    assert frames.images[:, 0, 0, 0].tolist() == [0, 10, 20, 30]


@pytest.mark.parametrize("action", ["hang", "hold"])
@pytest.mark.usefixtures("plugged")
def test_a_reader_that_never_ends_is_stopped_at_the_deadline(action: str, tmp_path: Path, video: Path) -> None:
    check(video)  # from here on the process is warm
    broken = write_scripted(tmp_path / "broken.mp4", f"{action} in frames")
    asked = time.monotonic()
    with pytest.raises(DecodeTimeoutError, match=r"reading broken\.mp4 took longer than 1\.5 s") as caught:
        read_video(broken, Sampling(num_frames=4), Settings(decode_timeout=1.5))
    assert 1.4 < time.monotonic() - asked < 2.5
    assert "VIDEO_TOOL_DECODE_TIMEOUT" in caught.value.hint
    assert workers_of() == []
    check(video)


def test_no_time_at_all_is_a_typed_error(video: Path, temp: Path) -> None:
    with pytest.raises(DecodeTimeoutError, match=r"reading bytes took longer than 0\.0001 s"):
        read_video(video.read_bytes(), Sampling(num_frames=4), Settings(decode_timeout=0.0001))
    assert workers_of() == []
    assert list(temp.iterdir()) == []


def test_a_process_that_died_while_idle_is_replaced(video: Path) -> None:
    check(video)
    for worker in workers_of():
        worker.kill()
        worker.wait()
    check(video)


def test_more_frames_than_memory_allows_are_refused_before_they_are_read(tmp_path: Path) -> None:
    long = write_frames(tmp_path / "long.mp4", np.zeros((200, 256, 512, 3), np.uint8))
    with pytest.raises(VideoTooLargeError, match="200 frames of 512×256 take 78643200 bytes; 67108864 are the ceiling"):
        read_video(long, Sampling(num_frames=200), Settings(decode_memory=1 << 26))


@pytest.mark.skipif(sys.platform != "linux", reason="where addresses are counted")
def test_a_video_that_takes_more_memory_than_allowed_is_a_typed_error(tmp_path: Path) -> None:
    large = write_frames(tmp_path / "large.mp4", np.zeros((3, 1088, 1920, 3), np.uint8))
    with pytest.raises(DecodeError):
        read_video(large, Sampling(num_frames=1), Settings(decode_memory=8 << 20))
    read_video(large, Sampling(num_frames=1), SETTINGS)


# ── What becomes of the workers when something becomes of who asks ────────────────────────────────────────────────────

ASK = """
import os, signal, sys, time
from pathlib import Path
from video_tool.frames import read_video
from video_tool.question import Sampling
from video_tool.settings import Settings

def ask(path):
    return read_video(Path(path).read_bytes(), Sampling(num_frames=4), Settings()).indices

"""

ASK_IN_PLACE = """
path = Path(sys.argv[1])
read_video(path, Sampling(), Settings(allowed_roots=(path.parent,)))
"""


@contextmanager
def asker(script: str, *arguments: object, temp: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python program that asks; it writes lines to standard output."""
    with subprocess.Popen(
        [sys.executable, "-c", ASK + script, *map(str, arguments)],
        env=unmeasured() | {"TMPDIR": str(temp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def gone(worker: psutil.Process) -> bool:
    return psutil.wait_procs([worker], timeout=30)[1] == []


@posix
def test_an_idle_worker_ends_with_an_asker_that_is_killed(video: Path, temp: Path) -> None:
    with asker("print(ask(sys.argv[1]), flush=True); time.sleep(60)", video, temp=temp) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "(0, 12, 25, 37)\n"
        (worker,) = workers_of(running.pid)
        running.kill()
        assert gone(worker)


@posix
@pytest.mark.parametrize("action", ["hang", "hold"])
@pytest.mark.usefixtures("plugged")
def test_a_busy_worker_ends_with_an_asker_that_is_killed(action: str, tmp_path: Path, temp: Path) -> None:
    broken = write_scripted(tmp_path / "a.mp4", f"{action} in frames")
    with asker(ASK_IN_PLACE, broken, temp=temp) as running:
        worker = worker_reading(broken, running.pid)
        running.kill()
        assert gone(worker)


@posix
@pytest.mark.usefixtures("plugged")
def test_ctrl_c_leaves_no_process_and_no_file(tmp_path: Path, temp: Path) -> None:
    broken = write_scripted(tmp_path / "a.mp4", "hold in metadata")
    with asker("ask(sys.argv[1])", broken, temp=temp) as running:
        while not (busy := busy_workers(running.pid)):
            assert running.poll() is None
            wait_a_moment()
        assert len(list(temp.iterdir())) == 1
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert gone(busy[0])
    assert list(temp.iterdir()) == []


@posix
def test_after_ctrl_c_the_next_question_is_answered(video: Path, tmp_path: Path, temp: Path) -> None:
    script = """
signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
long, short = sys.argv[1:]
ask(short)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    while True:
        ask(long)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(ask(short), flush=True)
"""
    noise = np.random.default_rng(0).integers(0, 256, (50, 256, 256, 3), np.uint8)
    long = write_frames(tmp_path / "long.mp4", noise)
    with asker(script, long, video, temp=temp) as running:
        out, said = running.communicate(timeout=60)
    assert (out, said) == ("interrupted\n(0, 12, 25, 37)\n", "")
    assert list(temp.iterdir()) == []


def test_nothing_is_left_when_the_interpreter_ends(video: Path, temp: Path) -> None:
    script = """
import psutil
print(ask(sys.argv[1]), [child.pid for child in psutil.Process().children()], flush=True)
"""
    with asker(script, video, temp=temp) as running:
        out, said = running.communicate(timeout=60)
    assert said == ""
    assert out.startswith("(0, 12, 25, 37) [")
    (pid,) = map(int, out.partition("[")[2].rstrip("]\n").split(","))
    assert not psutil.pid_exists(pid)


@posix
def test_a_forked_process_asks_for_itself(video: Path, temp: Path) -> None:
    script = """
print(ask(sys.argv[1]), flush=True)
if not os.fork():
    print(ask(sys.argv[1]), flush=True)
    os._exit(0)
os.wait()
print(ask(sys.argv[1]), flush=True)
"""
    with asker(script, video, temp=temp) as running:
        out, said = running.communicate(timeout=60)
    assert (out, said) == ("(0, 12, 25, 37)\n" * 3, "")


@posix
def test_a_fork_does_not_keep_the_workers_of_a_killed_process_alive(video: Path, temp: Path) -> None:
    script = """
ask(sys.argv[1])
child = os.fork()
if not child:
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""
    with asker(script, video, temp=temp) as running:
        assert running.stdout is not None
        child = psutil.Process(int(running.stdout.readline()))
        (worker,) = workers_of(running.pid)
        running.kill()
        try:
            assert gone(worker)
        finally:
            child.kill()
