"""How often a file is opened, by whomever: the kernel counts."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

_READ, _CLOSED, _OPENED = 0x1, 0x10, 0x20
"""Events of inotify(7)."""
_EVENT = struct.Struct("iIII")

counted_by_kernel = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@contextmanager
def openings(path: Path) -> Generator[Callable[[], int]]:
    """Within the block, tells how often the file has been opened since it was asked last."""
    library = ctypes.CDLL(None, use_errno=True)
    watch = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    # events that are alike and follow each other become one: what lies between two openings is watched, too
    assert library.inotify_add_watch(watch, bytes(path), _READ | _CLOSED | _OPENED) > 0
    try:
        yield lambda: _count(watch)
    finally:
        os.close(watch)


def _count(watch: int) -> int:
    opened = 0
    while True:
        try:
            events = os.read(watch, 1 << 16)
        except BlockingIOError:
            return opened
        while events:
            _, mask, _, length = _EVENT.unpack_from(events)
            assert not mask & 0x4000, "more happened than the kernel counts"
            opened += bool(mask & _OPENED)
            events = events[_EVENT.size + length :]
