"""What the asking process and its workers pass to each other, and how: messages, and memory for frames.

Messages are bytes and never pickled. Memory has no name that could be left behind: it is gone when the last process
that holds it is, however that ends.
"""

from __future__ import annotations

import math
import mmap
import os
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from multiprocessing.reduction import send_handle
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as _Connection

    Connection = _Connection[Any, Any]
else:
    Connection = object


def start_process(module: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Connection]:
    """Starts a Python process that runs `module` and holds one end of a connection; the other end is returned.

    The first argument it gets is what `inherited_connection` takes. Its standard input stays open as long as this
    process lives, and what it says on standard error can be read without waiting (not on Windows).
    """
    ours, theirs = Pipe()
    handle = theirs.fileno()
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        options |= {"startupinfo": startup, "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        options["stderr"] = subprocess.DEVNULL
    else:
        # Ctrl-C reaches a terminal's whole group: what becomes of the worker is for the asking process to say
        options |= {"pass_fds": [handle], "process_group": 0, "stderr": subprocess.PIPE}
    # one thread's share of each is enough, and threads reserve addresses, which are limited
    options["env"] = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    with theirs:
        command = [sys.executable, "-P", "-m", module, str(handle), *arguments]
        process = cast("subprocess.Popen[bytes]", subprocess.Popen(command, **options))
    if sys.platform != "win32":
        os.set_blocking(cast("BinaryIO", process.stderr).fileno(), False)
    return process, ours


def inherited_connection(handle: int) -> Connection:
    """The other end of the connection, in the process that was started."""
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        return PipeConnection(handle)
    from multiprocessing.connection import Connection

    return Connection(handle)


class FrameMemory:
    """Memory that another process fills with frames.

    Args:
        shape: frames, height, width and 3.

    Attributes:
        size: bytes.
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self._shape = shape
        self.size = math.prod(shape)
        if sys.platform == "linux":
            self._handle = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        else:
            with tempfile.TemporaryFile(buffering=0) as file:
                self._handle = os.dup(file.fileno())
        os.ftruncate(self._handle, self.size)
        if sys.platform == "linux":
            import fcntl

            # were it cut by whom it is handed to, reading it would kill this process
            fcntl.fcntl(self._handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)

    def seal(self) -> None:
        """Has nobody write to it any more, where the system can see to that."""
        if sys.platform == "linux":
            import fcntl

            fcntl.fcntl(self._handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)

    def send(self, connection: Connection, process: int) -> None:
        """Hands it to the process at the other end of a connection."""
        handle = self._handle
        if sys.platform == "win32":
            import msvcrt

            handle = msvcrt.get_osfhandle(handle)
        send_handle(cast("Any", connection), handle, process)

    def frames(self) -> NDArray[np.uint8]:
        """What was written to it; changes of the array stay in this process."""
        mapped = mmap.mmap(self._handle, self.size, access=mmap.ACCESS_COPY)
        return np.frombuffer(mapped, np.uint8).reshape(self._shape)

    def close(self) -> None:
        """Gives it up; what `frames` has returned stays."""
        os.close(self._handle)


def open_memory(handle: int) -> BinaryIO:
    """Memory that was sent to this process, as a file to write."""
    if sys.platform == "win32":
        import msvcrt

        handle = msvcrt.open_osfhandle(handle, os.O_RDWR)
    return os.fdopen(handle, "r+b", buffering=0)
