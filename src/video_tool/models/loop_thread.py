"""An event loop beside the caller's thread: what waits in it can be stopped, whatever it waits for.

A thread that looks a host up, shakes hands or reads from a silent server can't be woken; a task can.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing, closing
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import finalize

from video_tool.cancellation import check, on_cancel

_T = TypeVar("_T")

_FAREWELL = 5.0
"""Seconds that the thread gets to close its connections; it takes milliseconds."""


class LoopThread:
    """An event loop in a thread of its own, which ends when nobody has this object any more.

    Args:
        close: releases what was used in the loop; runs in it at the end. It must not keep this object.
    """

    def __init__(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(self._loop, close), name="requests", daemon=True)
        thread.start()
        finalize(self, _stop, self._loop, self._process, thread)

    @property
    def lost(self) -> bool:
        """Whether the thread is another process's, of which this one was forked."""
        return os.getpid() != self._process

    def result(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """What `work` returns or raises in the loop. Raises as `each` does."""

        async def only() -> AsyncGenerator[_T]:
            yield await work()

        with closing(self.each(only())) as results:
            return next(results)

    def each(self, pieces: AsyncGenerator[_T]) -> Generator[_T]:
        """The pieces as the loop comes by them. Who leaves early stops the work, and does not wait for it.

        Raises:
            CancelledError, DeadlineError: the work around is to stop, which stops this, too.
        """
        arrived: SimpleQueue[tuple[_T] | None] = SimpleQueue()

        async def listen() -> None:
            async with aclosing(pieces):
                async for piece in pieces:
                    arrived.put((piece,))

        running = asyncio.run_coroutine_threadsafe(listen(), self._loop)
        running.add_done_callback(lambda _: arrived.put(None))

        def stop() -> None:
            running.cancel()

        try:
            with on_cancel(stop):
                while (piece := arrived.get()) is not None:
                    check()
                    yield piece[0]
            check()
            running.result()
        finally:
            stop()


def _run(loop: AbstractEventLoop, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(close())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _stop(loop: AbstractEventLoop, process: int, thread: threading.Thread) -> None:
    if os.getpid() != process:
        return
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join(_FAREWELL)
