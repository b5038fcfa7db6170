"""Locks between processes, and folders that are known to be in use by them.

A lock file may be removed by who holds its lock: filelock notices that the file it waited for is gone, and starts again
with a new one.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from video_tool.cancellation import check


def operating_system_lock(path: Path) -> FileLock:
    """Return a lock that ends with the process that holds it.

    Where the file system has none, acquiring it raises OSError: files as locks would outlive their holders.
    """
    return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


@contextmanager
def held_if_free(path: Path) -> Generator[bool]:
    """Hold a lock for the length of a with-block unless somebody else has it; says whether it is held."""
    try:
        held = operating_system_lock(path).acquire(blocking=False)
    except Timeout:
        yield False
        return
    with held:
        yield True


@contextmanager
def held_in_turn(path: Path, seconds: float, look_again: float = 0.05) -> Generator[None]:
    """Hold a lock for the length of a with-block, as soon as those who have it let go of it.

    Args:
        path: the lock's file.
        seconds: how long to wait for it.
        look_again: seconds after which to look again.

    Raises:
        Timeout: it was not to be had in time.
        CancelledError, DeadlineError: the work around is to stop.
        OSError: the file system has no locks, or not there.
    """
    lock = operating_system_lock(path)
    with lock.acquire(timeout=seconds, poll_interval=look_again, cancel_check=_check):
        yield


def _check() -> bool:
    check()
    return False


@contextmanager
def work_folder(parent: Path) -> Generator[Path]:
    """A private folder in `parent`, removed after the with-block."""
    folder = parent / secrets.token_hex(16)
    # Locked before it is there: a folder that nobody holds is a leftover.
    with operating_system_lock(_lock_of(folder)):
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder)


def sweep_work_folders(parent: Path) -> None:
    """Remove the folders of processes that were killed."""
    for path in parent.glob("*.lock"):
        with held_if_free(path) as held:
            if held:
                _remove(path.with_suffix(""))


def unlink_unless_open(path: Path) -> bool:
    """Remove a file; returns False where the system keeps it because somebody has it open, as Windows does."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return False
    return True


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _remove(folder: Path) -> None:
    # What can't be removed now, because somebody has it open, keeps its lock file to tell of it later.
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        unlink_unless_open(_lock_of(folder))
