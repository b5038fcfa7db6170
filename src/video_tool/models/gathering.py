"""Questions before the same weights: whose turn it is, and who goes along.

The weights answer one question at a time, in the thread that asks it, or several in a thread of their own. Who has to
wait stands in line. The first of the line is always the next, and takes along those behind it that go together with it:
nobody waits for more turns than there are older questions.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context

from video_tool.cancellation import CancelScope, check, on_cancel
from video_tool.models.base import Generation

_PAUSE = 0.005
"""Seconds for which free weights wait for a question that is on its way; each that comes begins them anew. To make the
tokens and pixels of a short question takes about as long, and hardly a model answers one in less."""

_LONGEST_PAUSE = 0.05
"""Seconds after which the first in line has waited for others long enough, however many still come: nobody notices."""


class Asked(ABC):
    """A question in line.

    Args:
        new_tokens: most that its answer may have.

    Attributes:
        answer: the answer, once it is there.
        failure: why there will be none.
        left: whether nobody waits for it any more.
        apart: whether it is to be answered alone, as it could not be with others.
        context: the context variables of who asks, for what is called on the way.
        hearing: held while something of the asker's is called, and to leave: who has left is not called any more.
    """

    def __init__(self, new_tokens: int) -> None:
        self.new_tokens = new_tokens
        self.answer: Generation | None = None
        self.failure: BaseException | None = None
        self.left = False
        self.apart = False
        self.context = copy_context()
        self.hearing = threading.Lock()
        self.since = 0.0
        self.batch: _Batch | None = None

    @property
    def open(self) -> bool:
        """Whether an answer is still to be found, and somebody waits for it."""
        return self.answer is None and self.failure is None and not self.left

    @abstractmethod
    def alone(self) -> Generation:
        """Answers it, with the weights to itself."""

    @abstractmethod
    def goes_with(self, others: Sequence[Asked]) -> bool:
        """Whether it can be answered together with others, of whom the first has the turn."""

    @abstractmethod
    def stand_behind(self, line: Sequence[Asked]) -> None:
        """Gets ready to wait behind others, for as long as it takes."""

    @abstractmethod
    def together(self, others: Sequence[Asked], heard: Callable[[], None]) -> None:
        """Answers it and others with the weights to themselves; those that stay open are answered alone.

        Args:
            others: all, this one first.
            heard: called when one of them has its answer, or will have none.
        """


class _Batch:
    """Questions that are answered together, in a thread that is none of the askers': each of them may leave.

    The last who leaves, with or without an answer, has it stopped and waits for that.

    Args:
        asked: the questions.
        work: answers them, in a scope that is cancelled when all have left.
    """

    def __init__(self, asked: Sequence[Asked], work: Callable[[], None]) -> None:
        self._scope = CancelScope()
        self._waiting = len(asked)
        self._lock = threading.Lock()
        for each in asked:
            each.batch = self

        def run() -> None:
            with self._scope:
                work()

        self._thread = threading.Thread(target=run, name="batch")
        self._thread.start()

    def leave(self) -> None:
        """One is not waited for any more."""
        with self._lock:
            self._waiting -= 1
            last = self._waiting == 0
        if last:
            self._scope.cancel()
            self._thread.join()


class Gatherer:
    """The line before a model's weights, for all threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards what follows, and is held for moments only
        self._line: list[Asked] = []
        self._coming = 0
        self._busy = False
        self._several_until = 0.0

    def answer(self, prepare: Callable[[], Sequence[Asked]]) -> list[Generation]:
        """The answers to questions, in their order; they may be given together, and with those of other threads.

        Args:
            prepare: makes the questions; meanwhile they are known to be on their way.

        Raises:
            CancelledError, DeadlineError: the work around is to stop; the answers of others are not held up.
            VideoToolError: of the first question that fails; the others are not answered then.
        """
        with self._changed:
            self._coming += 1
        asked: Sequence[Asked] = ()
        try:
            asked = prepare()
        finally:
            with self._changed:
                self._coming -= 1
                now = time.monotonic()
                for each in asked:
                    each.since = now
                    each.stand_behind(self._line)
                    self._line.append(each)
                self._changed.notify_all()
        try:
            with on_cancel(self._wake):
                while (turn := self._next_of(asked)) is not None:
                    self._take(turn)
                return [each.answer for each in asked if each.answer is not None]
        finally:
            for each in asked:
                self._leave(each)

    def _next_of(self, asked: Sequence[Asked]) -> Sequence[Asked] | None:
        """Waits for a turn of one of these questions; None once all have their answers."""
        with self._changed:
            while any(each.answer is None for each in asked):
                check()
                failed = next((each.failure for each in asked if each.failure is not None), None)
                if failed is not None:
                    raise failed
                pause = None
                if not self._busy and self._line and self._line[0] in asked:
                    pause = self._pause()
                    if pause <= 0:
                        return self._chosen()
                self._changed.wait(pause)
        return None

    def _pause(self) -> float:
        """Seconds to wait for those who may come; none for a question that nobody is known to follow."""
        now = time.monotonic()
        if not (self._coming or now < self._several_until) or self._line[0].apart:
            return 0.0
        return min(self._line[-1].since + _PAUSE, self._line[0].since + _LONGEST_PAUSE) - now

    def _chosen(self) -> Sequence[Asked]:
        """The first in line and those that go with it; the weights are theirs.

        Who is taken along before an older question that is left standing must not make its waiting longer: the answer
        may have no more tokens than those of the others.
        """
        first, *rest = self._line
        chosen, passed = [first], False
        for each in rest:
            fits = not passed or each.new_tokens <= max(one.new_tokens for one in chosen)
            if fits and not (first.apart or each.apart) and each.goes_with(chosen):
                chosen.append(each)
            else:
                passed = True
        self._line = [each for each in rest if each not in chosen]
        self._busy = True
        return chosen

    def _take(self, turn: Sequence[Asked]) -> None:
        """Has the weights answer."""
        if len(turn) > 1:
            _Batch(turn, lambda: self._answer_together(turn))
            return
        try:
            turn[0].answer = turn[0].alone()
        finally:
            self._free(several=False)

    def _answer_together(self, turn: Sequence[Asked]) -> None:
        try:
            # what it fails with need not be everybody's: each is answered alone then, or gets an error of its own
            with suppress(Exception):
                turn[0].together(turn, self._wake)
        finally:
            still = [each for each in turn if each.open]
            for each in still:
                each.apart = True
            self._free(still, several=True)

    def _free(self, back: Sequence[Asked] = (), *, several: bool) -> None:
        """The weights are free.

        Args:
            back: the questions that go back to the front of the line.
            several: whether several were answered together.
        """
        with self._changed:
            self._line[:0] = [each for each in back if not each.left]
            self._busy = False
            # those who have their answers may have more to ask, and at the same time again
            self._several_until = time.monotonic() + _LONGEST_PAUSE if several else 0.0
            self._changed.notify_all()

    def _leave(self, asked: Asked) -> None:
        """Nobody waits for this one any more: it has its answer, or its asker has failed or is to stop."""
        with asked.hearing:
            asked.left = True
        with self._changed:
            if asked in self._line:
                self._line.remove(asked)
                self._changed.notify_all()
        if asked.batch is not None:
            asked.batch.leave()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
