"""Several questions about the same videos: read once, and sent to a server side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context

from video_tool.answer import VideoAnswer
from video_tool.cancellation import CancelScope
from video_tool.question import VideoQuestion
from video_tool.turn import Turn


def read_many(read: Callable[[VideoQuestion], Turn], questions: Sequence[VideoQuestion]) -> list[Turn]:
    """All that the model needs to answer questions that differ in their words alone. Raises as `read` does."""
    if not questions:
        return []
    # the longest leaves the least room for frames
    longest = max(range(len(questions)), key=lambda number: len(questions[number].question))
    turn = read(questions[longest])
    first, *others = (turn.asking(question.question) for question in questions)
    return [first, *(each.kept() for each in others)]


def side_by_side(reply: Callable[[Turn], VideoAnswer], turns: Sequence[Turn]) -> list[VideoAnswer]:
    """The answers to questions that are asked all at once, each in a thread; the first that fails ends the others."""
    with CancelScope() as scope, ThreadPoolExecutor(max(1, len(turns))) as pool:
        waiting = [pool.submit(copy_context().run, reply, turn) for turn in turns]
        try:
            wait(waiting, return_when=FIRST_EXCEPTION)
            return [each.result() for each in waiting if each.done()]
        except BaseException:
            scope.cancel()
            raise
