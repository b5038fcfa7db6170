"""An answer piece by piece, while another thread generates it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING

from video_tool.cancellation import CancelScope

if TYPE_CHECKING:
    from video_tool.answer import VideoAnswer
    from video_tool.models import OnText


class TextStream:
    """The text of an answer as it comes; generating begins at once, and goes on until `end` is called at the latest.

    Args:
        reply: generates the answer, and tells what each token adds to the text.
    """

    def __init__(self, reply: Callable[[OnText], VideoAnswer]) -> None:
        self._reply = reply
        self._pieces: SimpleQueue[str | VideoAnswer | BaseException] = SimpleQueue()
        self._scope = CancelScope()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="generation", daemon=True)
        self._thread.start()

    def take(self) -> str | VideoAnswer:
        """The next piece of text, or the whole answer when there are no more. Raises what generating raised."""
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def end(self) -> None:
        """Stops generating, wherever it is, and waits until it has stopped."""
        self._scope.cancel()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._scope:
                self._pieces.put(self._reply(self._hear))
        except BaseException as error:  # noqa: BLE001 — raised again in the thread that listens
            self._pieces.put(error)

    def _hear(self, text: str) -> None:
        self._scope.check()
        if text:
            self._pieces.put(text)


def in_pieces(reply: Callable[[OnText], VideoAnswer]) -> Generator[str | VideoAnswer]:
    """The pieces of an answer, then all of it, as `VideoQA.stream` gives them."""
    pieces = TextStream(reply)
    try:
        while isinstance(piece := pieces.take(), str):
            yield piece
        yield piece
    finally:
        pieces.end()


async def ain_pieces(reply: Callable[[OnText], VideoAnswer]) -> AsyncGenerator[str | VideoAnswer]:
    """The same for an event loop, as `VideoQA.astream` gives them."""
    pieces = TextStream(reply)
    try:
        while isinstance(piece := await asyncio.to_thread(pieces.take), str):
            yield piece
        yield piece
    finally:
        await asyncio.to_thread(pieces.end)
