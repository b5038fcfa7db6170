"""The processes in which videos are decoded, seen from outside."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil


def workers_of(pid: int | None = None) -> list[psutil.Process]:
    """The decoding processes that a process has, by default this one."""
    found: list[psutil.Process] = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            if "video_tool.frames.worker" in child.cmdline():
                found.append(child)
    return found


def next_worker(pid: int | None = None, seconds: float = 60) -> psutil.Process:
    """Waits for a process to start decoding."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if workers := workers_of(pid):
            return workers[0]
    raise TimeoutError("no video is decoded")
