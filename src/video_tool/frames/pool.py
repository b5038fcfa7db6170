"""Warm decoding processes, lent to one question at a time and never left behind."""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

from video_tool.cancellation import acquire, check, on_cancel
from video_tool.errors import DecodeError, DecodeTimeoutError, NoVideoError, VideoTooLargeError
from video_tool.frames.reader import UnsuitableReaderError
from video_tool.frames.wire import FrameMemory, start_process
from video_tool.settings import Settings

_ERRORS = {error.__name__: error for error in (DecodeError, NoVideoError, UnsuitableReaderError, VideoTooLargeError)}
_LONGEST_ANSWER = 1 << 20  # bytes
_FAREWELL = 5.0
"""Seconds that a worker gets to end by itself; it takes milliseconds."""
_FFMPEG_ERROR = re.compile(rb"^\[[^]@]+ @ \w+\] ", re.MULTILINE)
"""How the lines begin that FFmpeg writes to standard error, such as `[h264 @ 0x55f0c8a2e040] `."""


class Budget:
    """The seconds that are left for a worker to answer in; only waiting for it uses them up."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @contextmanager
    def share(self, part: float) -> Generator[Budget]:
        """A budget of its own for a part of what is left."""
        given = self.left * part
        share = Budget(given)
        try:
            yield share
        finally:
            self.left -= given - share.left


class Worker:
    """A decoding process, seen from the one that asks it. What it says is not trusted.

    Attributes:
        memory: bytes that it may take.
        plugins: the distributions whose readers it loads, as `Settings.plugins` has them.
        usable: whether it has answered all that it was asked, and without an error that may have left a mark.
        abandoned: whether it was killed because nobody waits for its answer any more.
        holder: for whom it has a file open, between two of their questions about it; None where nobody comes back.
    """

    def __init__(self, memory: int, plugins: tuple[str, ...] | None) -> None:
        self.memory = memory
        self.plugins = plugins
        self.usable = True
        self.abandoned = False
        self.holder: object | None = None
        self._process, self._connection = start_process("video_tool.frames.worker", str(memory), json.dumps(plugins))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(
        self,
        request: dict[str, Any],
        budget: Budget,
        *,
        memory: FrameMemory | None = None,
        follow: tuple[int, ...] = (),
    ) -> tuple[dict[str, Any], list[bytes]]:
        """The answer to a request, and what follows it.

        Args:
            request: as `video_tool.frames.worker` describes them.
            budget: the seconds that it may take.
            memory: handed over with the request.
            follow: the most bytes of each message that follows the answer.

        Raises:
            DecodeTimeoutError: it took longer, and was killed.
            DecodeError: it answered with an error, with nonsense, or not at all.
            CancelledError, DeadlineError: the work around is to stop, and it was killed.
        """
        check()
        with on_cancel(self._abandon):
            try:
                return self._exchange(request, budget, memory, follow)
            except DecodeError:
                check()
                raise

    def close_file(self) -> None:
        """Has it hold nothing of a file any more, whoever still waits; not `usable` when that fails."""
        self.holder = None
        with suppress(DecodeError):
            self._exchange({"step": "close"}, Budget(_FAREWELL))

    def _exchange(
        self,
        request: dict[str, Any],
        budget: Budget,
        memory: FrameMemory | None = None,
        follow: tuple[int, ...] = (),
    ) -> tuple[dict[str, Any], list[bytes]]:
        self.usable = False
        began = time.monotonic()
        overrun = threading.Event()
        timer = threading.Timer(max(budget.left, 0.0), self._kill, (overrun,))
        timer.daemon = True
        timer.start()
        try:
            self._connection.send_bytes(json.dumps(request | {"seconds": max(budget.left, 0.0)}).encode())
            if memory is not None:
                memory.send(self._connection, self._process.pid)
            answer: Any = json.loads(self._connection.recv_bytes(_LONGEST_ANSWER))
            if "error" in answer:
                error = _ERRORS.get(answer["error"], DecodeError)
                self.usable = error is UnsuitableReaderError
                raise error(str(answer["message"]), hint=str(answer["hint"]))
            rest = [self._connection.recv_bytes(length) for length in follow]
        except (EOFError, OSError) as error:
            if overrun.is_set():
                raise DecodeTimeoutError("decoding took too long") from error
            raise DecodeError(f"decoding crashed ({self._last_words()})") from error
        except (ValueError, TypeError, KeyError) as error:
            raise DecodeError("decoding it gave nonsense") from error
        finally:
            timer.cancel()
            budget.left -= time.monotonic() - began
        self.usable = True
        return answer, rest

    def complaints(self) -> int:
        """How many errors FFmpeg has reported since it was asked last."""
        return len(_FFMPEG_ERROR.findall(self._said()))

    def end(self) -> None:
        """Ends the process, at once when it is not `usable`, and waits until it is gone."""
        self._connection.close()
        if not self.usable:
            self._process.kill()
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close_pipes()

    def forget(self) -> None:
        """In a forked process: leaves the worker to the process that started it."""
        self._connection.close()
        self._close_pipes()
        self._process.returncode = 0  # it is no child of this process, and must not be waited for

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _abandon(self) -> None:
        self.abandoned = True
        self._process.kill()

    def _kill(self, overrun: threading.Event) -> None:
        overrun.set()
        self._process.kill()

    def _last_words(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL)
        last = self._said().decode(errors="replace").strip().rpartition("\n")[2]
        return f"exit status {self._process.returncode}" + (f": {last[:200]}" if last else "")

    def _said(self) -> bytes:
        if self._process.stderr is None:
            return b""
        # never waits: the pipe holds 64 KiB, and what does not fit into it is lost
        return cast("bytes | None", self._process.stderr.read(1 << 16)) or b""


class WorkerPool:
    """Workers of this process: as many as were needed at once, and never more than there are cores."""

    def __init__(self) -> None:
        self._most = max(2, _cores())
        self._slots = threading.BoundedSemaphore(self._most)
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []

    @contextmanager
    def lend(self, memory: int, plugins: tuple[str, ...] | None, holder: object | None = None) -> Generator[Worker]:
        """A worker for the length of a with-block; waits for one when all are busy.

        One that is not `usable` any more is ended: what broke it may have left a mark. One whose `holder` is set then
        keeps its file open until `release`, or until somebody else needs it.

        Args:
            memory: bytes that it may take.
            plugins: the distributions whose readers it loads; None for all.
            holder: the one that has a file open for this one is preferred.

        Raises:
            CancelledError, DeadlineError: the work around is to stop, and all are busy.
        """
        with acquire(self._slots):
            worker = self._take(memory, plugins, holder)
            try:
                worker.complaints()  # about the file before
                yield worker
            finally:
                self._give_back(worker)

    def release(self, holder: object) -> None:
        """Has the idle worker that has a file open for this one close it."""
        with self._lock:
            for worker in [each for each in self._idle if each.holder is holder]:
                worker.close_file()
                if not worker.usable:
                    self._idle.remove(worker)
                    self._workers.remove(worker)
                    worker.end()

    def start(self, memory: int, plugins: tuple[str, ...] | None) -> None:
        """Has a worker start for whoever comes next, unless one is idle or all are busy. Arguments as for `lend`."""
        with self._lock:
            if not self._idle and len(self._workers) < self._most:
                with suppress(OSError):  # who needs it tries again, and is told why not
                    self._idle.append(self._start(memory, plugins))

    def _take(self, memory: int, plugins: tuple[str, ...] | None, holder: object | None) -> Worker:
        with self._lock:
            while self._idle:
                # that with the file, or else one without any; of these, that which worked last
                worker = min(
                    reversed(self._idle), key=lambda each: (each.holder is not holder, each.holder is not None)
                )
                self._idle.remove(worker)
                if worker.alive and (worker.memory, worker.plugins) == (memory, plugins):
                    if worker.holder is not None and worker.holder is not holder:
                        worker.close_file()
                    if worker.usable:
                        return worker
                self._workers.remove(worker)
                worker.end()
            return self._start(memory, plugins)

    def _start(self, memory: int, plugins: tuple[str, ...] | None) -> Worker:
        worker = Worker(memory, plugins)
        self._workers.append(worker)
        return worker

    def _give_back(self, worker: Worker) -> None:
        if worker.usable and worker.holder is None:
            worker.close_file()
        if not worker.usable:
            worker.end()
        with self._lock:
            if worker.usable:
                self._idle.append(worker)
            elif worker in self._workers:
                self._workers.remove(worker)
                if worker.abandoned:
                    # so that the next question does not wait for it; where it can't be had, that one says why
                    with suppress(OSError):
                        self._idle.append(self._start(worker.memory, worker.plugins))

    def end(self) -> None:
        """Ends all workers."""
        with self._lock:
            for worker in self._workers:
                worker.end()
            self._workers, self._idle = [], []

    def forget(self) -> None:
        """In a forked process: starts anew, and leaves the workers to the process that started them."""
        for worker in self._workers:
            worker.forget()
        self.__init__()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


POOL = WorkerPool()
"""All that this process decodes goes through it."""


def start_decoder(settings: Settings) -> None:
    """Has a process start in which the next video is decoded, where none waits for one; does not wait for it."""
    POOL.start(settings.decode_memory, settings.plugins)


atexit.register(POOL.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)
