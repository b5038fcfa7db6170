"""The processes in which videos are decoded, seen from outside."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil


def workers_of(pid: int | None = None) -> list[psutil.Process]:
    """The decoding processes that a process has, by default this one; those that ended and were not waited for, too."""
    found: list[psutil.Process] = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if child.status() == psutil.STATUS_ZOMBIE or "video_tool.frames.worker" in child.cmdline():
                found.append(child)
    return found


def busy_workers(pid: int | None = None) -> list[psutil.Process]:
    """Those that hold a file, or have ended and were left behind; one that only starts holds what it imports."""
    found: list[psutil.Process] = []
    for worker in workers_of(pid):
        try:
            if not all(_is_code(opened.path) for opened in worker.open_files()):
                found.append(worker)
        except psutil.ZombieProcess:
            found.append(worker)
        except psutil.NoSuchProcess:
            pass
    return found


def _is_code(path: str) -> bool:
    installed = any(Path(path).is_relative_to(folder) for folder in (sys.prefix, sys.base_prefix))
    return installed or path.endswith((".py", ".pyc"))


def worker_reading(path: Path, pid: int | None = None, seconds: float = 60) -> psutil.Process:
    """Waits for a process that reads a file."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for worker in workers_of(pid):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                if str(path.resolve()) in {opened.path for opened in worker.open_files()}:
                    return worker
    raise TimeoutError(f"nobody reads {path.name}")
