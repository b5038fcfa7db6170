"""What keeps a decoding process within bounds: of files, of time, of memory, and of its parent's life."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_file_at_a_time() -> Generator[None]:
    """Within the block the process can open one file more, and then nothing: no second file, and no socket."""
    if sys.platform == "win32":
        yield
        return
    import resource

    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def alarm(seconds: float) -> Generator[None]:
    """Ends the process when the block takes longer, though it may hold the interpreter's lock."""
    if sys.platform == "win32":
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def end_with_parent() -> None:
    """Has a signal end this process once the other end of standard input is closed, whatever it is doing then."""
    if sys.platform == "win32":
        return
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    # a full pipe of complaints must not hold up the decoder
    os.set_blocking(2, False)


def limit_memory(size: int) -> None:
    """Lets the process take `size` bytes of addresses more than it has; where the system counts them."""
    if sys.platform != "linux":
        return
    import resource

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = taken + size if hard == resource.RLIM_INFINITY else min(taken + size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
