"""A model that is loaded beside other work, for somebody who will use it after that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from video_tool.cancellation import CancelScope, check, on_cancel
from video_tool.models.base import VideoLanguageModel
from video_tool.models.holding import HeldModel, InUse
from video_tool.progress import OnProgress, Progress

_HandedOver = tuple[ExitStack, InUse]
"""A model in use, and what ends its use."""


class LoadAhead:
    """A with-block that needs the model in the end, and may have it loaded while it still does something else.

    Loading then runs in a thread of its own. Who uses the model gets its errors, and all its news in the thread that
    uses it. A block that is left without using it has a download from the hub stop; weights that are being read are
    read to their end, and kept for the next question.

    Args:
        held: the engine's model.
        load: makes it, and tells its news to what it is given.
        on_progress: told the news, from the thread of the block.
    """

    def __init__(
        self, held: HeldModel, load: Callable[[OnProgress], VideoLanguageModel], on_progress: OnProgress
    ) -> None:
        self._held = held
        self._load = load
        self._on_progress = on_progress
        self._scope = CancelScope()
        self._news: SimpleQueue[Progress | None] = SimpleQueue()
        self._handed_over: Future[_HandedOver] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handed_over is not None:
            self._scope.cancel()
            self._handed_over.add_done_callback(_end)

    def begin(self) -> None:
        """Begins to load the model, unless it is loaded or begun."""
        if self._handed_over is None and self._held.model is None:
            self._handed_over = Future()
            self._handed_over.set_running_or_notify_cancel()  # so that the thread may always tell it
            arguments = (self._run, self._handed_over)
            threading.Thread(target=copy_context().run, args=arguments, name="load").start()

    def tell(self) -> None:
        """Tells what news there are of loading."""
        while not self._news.empty():
            report = self._news.get()
            if report is None:  # the last, which is for who waits for it
                self._news.put(None)
                return
            self._on_progress(report)

    @contextmanager
    def in_use(self) -> Generator[InUse]:
        """The model, as `HeldModel.in_use` gives it; waits for the one that was begun. Once in a block.

        Raises:
            CancelledError, DeadlineError: the work around is to stop; loading is not waited for.
        """
        if self._handed_over is None:
            with self._held.in_use(lambda: self._load(self._on_progress)) as used:
                yield used
            return
        with on_cancel(lambda: self._news.put(None)):
            while (report := self._news.get()) is not None:
                check()
                self._on_progress(report)
        check()
        stack, used = self._handed_over.result()
        with stack:
            yield used

    def _run(self, handed_over: Future[_HandedOver]) -> None:
        try:
            with self._scope, ExitStack() as stack:
                used = stack.enter_context(self._held.in_use(lambda: self._load(self._news.put)))
                handed_over.set_result((stack.pop_all(), used))
        except BaseException as error:  # noqa: BLE001 — raised again where the model is to be used
            handed_over.set_exception(error)
        self._news.put(None)


def _end(handed_over: Future[_HandedOver]) -> None:
    """Ends the use of a model that nobody has taken over; of one that somebody has, it has ended."""
    if handed_over.exception() is None:
        stack, _ = handed_over.result()
        stack.close()
