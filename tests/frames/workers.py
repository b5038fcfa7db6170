"""The processes in which videos are decoded, seen from outside."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from video_tool.frames.pool import POOL

_SYSTEM = ("/dev", "/etc", "/proc", "/sys", "/usr")
"""Where a process reads files while it starts."""
_earlier: list[psutil.Process] = []


@contextmanager
def none_left() -> Iterator[None]:
    """Begins without decoding processes, and ends by looking that none is left.

    What other tests left behind is none of them: a process that has ended and was not waited for no longer tells what
    it was.
    """
    POOL.end()
    _earlier[:] = psutil.Process().children()
    try:
        yield
        assert busy_workers() == []
        POOL.end()
        assert workers_of() == []
    finally:
        _earlier.clear()


def workers_of(pid: int | None = None) -> list[psutil.Process]:
    """The decoding processes that a process has, by default this one; those that ended and were not waited for, too."""
    found: list[psutil.Process] = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            ended = child.status() == psutil.STATUS_ZOMBIE and child not in _earlier
            if ended or "video_tool.frames.worker" in child.cmdline():
                found.append(child)
    return found


def busy_workers(pid: int | None = None) -> list[psutil.Process]:
    """Those that hold a file, or have ended and were left behind; one that only starts holds what it imports."""
    found: list[psutil.Process] = []
    for worker in workers_of(pid):
        try:
            if not all(_is_for_starting(opened.path) for opened in worker.open_files()):
                found.append(worker)
        except psutil.ZombieProcess:
            found.append(worker)
        except psutil.NoSuchProcess:
            pass
    return found


def _is_for_starting(path: str) -> bool:
    installed = any(Path(path).is_relative_to(folder) for folder in (sys.prefix, sys.base_prefix, *_SYSTEM))
    return installed or path.endswith((".py", ".pyc"))


def wait_a_moment() -> None:
    """Between two looks at another process: who looks all the time takes the processor from who is looked at."""
    time.sleep(0.005)


def worker_reading(path: Path, pid: int | None = None, seconds: float = 60) -> psutil.Process:
    """Waits for a process that reads a file."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for worker in workers_of(pid):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                if str(path.resolve()) in {opened.path for opened in worker.open_files()}:
                    return worker
        wait_a_moment()
    raise TimeoutError(f"nobody reads {path.name}")
