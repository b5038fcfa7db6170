"""What keeps a decoding process within bounds: of the network, files, time, memory, and of its parent's life."""

from __future__ import annotations

import errno
import os
import platform
import signal
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_SECCOMP = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""The kernel's number for the machine (linux/audit.h), and that of the call socket(2)."""
_IO_URING_SETUP = 425
"""It opens sockets, too, past the filter."""


def forbid_network() -> None:
    """Has the kernel refuse sockets to this process from now on, for good: on Linux, on x86-64 and ARM64.

    The filter is a program in the kernel's packet filter language, as seccomp(2) describes it.
    """
    if sys.platform != "linux" or platform.machine() not in _SECCOMP:
        return
    import ctypes

    machine, socket = _SECCOMP[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    steps = (
        (load, 0, 0, 4),  # the machine for which the call is made
        (equal, 0, 5, machine),
        (load, 0, 0, 0),  # the call's number
        (at_least, 3, 0, 0x40000000),  # x32, another numbering of the same calls
        (equal, 2, 0, socket),
        (equal, 1, 0, _IO_URING_SETUP),
        (give, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        (give, 0, 0, 0x00050000 | errno.EACCES),  # SECCOMP_RET_ERRNO
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    head = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(program)))
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which the next takes a privilege
    library.prctl(22, 2, head, 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


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
