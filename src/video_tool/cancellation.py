"""Stopping work that nobody waits for any more.

Work runs within a `CancelScope`, which any thread can cancel and a deadline does by itself. Stages look at it between
their steps (`check`), have what they wait for woken (`on_cancel`, `acquire`), and end with the scope's error.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar, Token, copy_context
from types import TracebackType
from typing import Protocol, Self, TypeVar

from video_tool.errors import CancelledError, DeadlineError, VideoToolError

_T = TypeVar("_T")

_LOOK_AGAIN = 0.05
"""Seconds after which somebody who waits for a lock looks whether it is still wanted."""

_current: ContextVar[CancelScope | None] = ContextVar("video_tool_cancel_scope", default=None)


class CancelScope:
    """A with-block whose work can be stopped: by `cancel` from any thread, or by a deadline.

    Everything that `VideoQA` does within the block ends soon after, with the error that says why: downloads and
    decoding at once, generating within a layer of the model. A model that loads does so by itself to its end, unless it
    has to come from the hub or the program itself ends. A scope within another ends with it. It is entered once, by
    one thread; tasks and `asyncio.to_thread` take it along.

    Args:
        seconds: from entering the block until the deadline; None for none.

    Raises:
        CancelledError: from within the block, after `cancel`.
        DeadlineError: from within the block, after the deadline.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._why: Callable[[], VideoToolError] | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._outer: CancelScope | None = None
        self._timer: threading.Timer | None = None
        self._token: Token[CancelScope | None] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, or the deadline is over."""
        return self._why is not None

    def cancel(self) -> None:
        """Stops the work, from any thread; what is waited for is woken before this returns."""
        self._stop(_cancelled)

    def check(self) -> None:
        """Raises `CancelledError` or `DeadlineError` once the work is to stop."""
        if self._why is not None:
            raise self._why()

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("a CancelScope is entered once")
        self._outer = _current.get()
        self._token = _current.set(self)
        if self._outer is not None:
            self._outer._add(self._stop_with_outer)
        if self._seconds is not None:
            self._timer = threading.Timer(self._seconds, self._stop, (self._overdue,))
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._outer is not None:
            self._outer._remove(self._stop_with_outer)
        if self._token is not None:
            _current.reset(self._token)

    def _add(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if self._why is None:
                self._callbacks.append(callback)
                return
        callback()

    def _remove(self, callback: Callable[[], None]) -> None:
        # the lock is held while callbacks run: once this returns, the callback is not running any more
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def _stop(self, why: Callable[[], VideoToolError]) -> None:
        with self._lock:
            if self._why is not None:
                return
            self._why = why
            for callback in self._callbacks:
                callback()
            self._callbacks.clear()

    def _stop_with_outer(self) -> None:
        if self._outer is not None and self._outer._why is not None:
            self._stop(self._outer._why)

    def _overdue(self) -> VideoToolError:
        return DeadlineError(
            f"it took longer than {self._seconds:g} seconds",
            hint="Ask about fewer frames or a shorter range of the video, or allow more seconds.",
        )


def _cancelled() -> VideoToolError:
    return CancelledError("it was cancelled", hint="Ask again if the answer is wanted after all.", retryable=True)


def check() -> None:
    """Raises `CancelledError` or `DeadlineError` where the work around is to stop."""
    scope = _current.get()
    if scope is not None:
        scope.check()


@contextmanager
def on_cancel(callback: Callable[[], None]) -> Generator[None]:
    """Has what the block waits for woken when the work around it is to stop.

    The block then ends with an error of what was woken, and `check` in its handler raises the one that says why.

    Args:
        callback: called once at the most, from another thread, and at once where the work is to stop already. It must
            neither wait nor raise.
    """
    scope = _current.get()
    if scope is None:
        yield
        return
    scope._add(callback)  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        scope._remove(callback)  # pyright: ignore[reportPrivateUsage]


class Lockable(Protocol):
    """A lock or a semaphore."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


@contextmanager
def acquire(lock: Lockable) -> Generator[None]:
    """Holds a lock for the length of a with-block, and stops waiting for it when the work around is to stop."""
    if _current.get() is None:
        lock.acquire()
    else:
        check()
        while not lock.acquire(timeout=_LOOK_AGAIN):
            check()
    try:
        yield
    finally:
        lock.release()


async def run_in_thread(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises, from a thread of its own; cancelling the task stops it, and does not wait for it.

    The thread is none of the event loop's pool, where others would wait for it; the interpreter waits for its end.

    Args:
        work: runs in a `CancelScope`, and with the context variables of the task.
    """
    scope = CancelScope()
    outcome: Future[_T] = Future()
    outcome.set_running_or_notify_cancel()  # so that the thread may always tell it

    def run() -> None:
        try:
            with scope:
                outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 — raised again where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name="question").start()
    try:
        return await asyncio.wrap_future(outcome)
    except asyncio.CancelledError:
        scope.cancel()
        raise
