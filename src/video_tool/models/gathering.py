"""Questions before the same weights: whose turn it is, and who goes along.

The weights answer one question at a time, in the thread that asks it, or several in a thread of their own. Who has to
wait stands in line. The first of the line is always the next, and takes along those behind it that go together with it.
Who comes while the weights answer joins between two tokens, as long as nobody older stands in line: nobody waits for
more turns than there are older questions.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial

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
        self.turn: Turn | None = None

    @property
    def open(self) -> bool:
        """Whether an answer is still to be found, and somebody waits for it."""
        return self.answer is None and self.failure is None and not self.left

    @abstractmethod
    def alone(self, wanted: Callable[[], bool]) -> Generation | None:
        """Answers it, with the weights to itself.

        Args:
            wanted: whether others want to join, asked between two tokens.

        Returns:
            The answer; None where it stopped to have others join.
        """

    @abstractmethod
    def goes_with(self, others: Sequence[Asked]) -> bool:
        """Whether it can be answered together with others, of whom the first has the turn."""

    @abstractmethod
    def stand_behind(self, line: Sequence[Asked]) -> None:
        """Gets ready to wait behind others, for as long as it takes."""

    @abstractmethod
    def together(self, turn: Turn) -> None:
        """Answers it and others with the weights to themselves; those that stay open are answered alone."""


class Turn:
    """Questions that are answered together, in a thread that is none of the askers': each of them may leave.

    The last who leaves, with or without an answer, has it stopped and waits for that.

    Args:
        gatherer: whose line they stood in.
        asked: the questions, the oldest first.

    Attributes:
        asked: the questions, with those that joined.
    """

    def __init__(self, gatherer: Gatherer, asked: Sequence[Asked]) -> None:
        self.asked = [*asked]
        self._gatherer = gatherer
        self._scope = CancelScope()
        self._present = 0
        self._lock = threading.Lock()
        for each in asked:
            self.enter(each)
        self._thread = threading.Thread(target=self._run, name="batch")

    def begin(self) -> None:
        """Has them answered."""
        self._thread.start()

    def wanted(self) -> bool:
        """Whether somebody wants to join."""
        return self._gatherer.wanted(self.asked)

    def joined(self) -> Sequence[Asked]:
        """Those who join now."""
        new = self._gatherer.join(self)
        self.asked += new
        return new

    def enter(self, asked: Asked) -> None:
        """One more is waited for. Called while the line is held, so that nobody leaves at the same time."""
        asked.turn = self
        with self._lock:
            self._present += 1

    def heard(self) -> None:
        """Has those woken who have their answers, or will have none."""
        self._gatherer.wake()

    def leave(self) -> None:
        """One is not waited for any more."""
        with self._lock:
            self._present -= 1
            last = self._present == 0
        if last:
            self._scope.cancel()
            self._thread.join()

    def _run(self) -> None:
        try:
            # what it fails with need not be everybody's: each is answered alone then, or gets an error of its own
            with self._scope, suppress(Exception):
                self.asked[0].together(self)
        finally:
            still = [each for each in self.asked if each.open]
            for each in still:
                each.apart = True
            self.asked.clear()
            self._gatherer.free(still, several=True)


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
            with on_cancel(self.wake):
                while (taken := self._next_of(asked)) is not None:
                    if isinstance(taken, Turn):
                        taken.begin()
                    else:
                        self._answer_alone(taken)
                return [each.answer for each in asked if each.answer is not None]
        finally:
            for each in asked:
                self._leave(each)

    def _next_of(self, asked: Sequence[Asked]) -> Asked | Turn | None:
        """Waits for a turn of one of these questions, alone or with others; None once all have their answers."""
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
                        chosen = self._chosen()
                        return chosen[0] if len(chosen) == 1 else Turn(self, chosen)
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

    def _answer_alone(self, asked: Asked) -> None:
        paused = False
        try:
            asked.answer = asked.alone(partial(self.wanted, [asked]))
            paused = asked.answer is None
        finally:
            self.free([asked] if paused else (), several=False)

    def free(self, back: Sequence[Asked] = (), *, several: bool) -> None:
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

    def wanted(self, present: Sequence[Asked]) -> bool:
        """Whether the first in line can join those who are being answered."""
        if not self._line:
            return False
        with self._changed:
            return bool(self._line) and self._pause() <= 0 and self._goes_with(self._line[0], present)

    def join(self, turn: Turn) -> list[Asked]:
        """Those who join the ones that are being answered: from the front of the line, so that nobody is passed."""
        new: list[Asked] = []
        with self._changed:
            while self._line and self._goes_with(self._line[0], [*turn.asked, *new]):
                new.append(self._line.pop(0))
                turn.enter(new[-1])
        return new

    @staticmethod
    def _goes_with(asked: Asked, present: Sequence[Asked]) -> bool:
        still = [each for each in present if each.open]
        return bool(still) and not asked.apart and asked.goes_with(still)

    def wake(self) -> None:
        """Has all in line look whether something has changed for them."""
        with self._changed:
            self._changed.notify_all()

    def _leave(self, asked: Asked) -> None:
        """Nobody waits for this one any more: it has its answer, or its asker has failed or is to stop."""
        with asked.hearing:
            asked.left = True
        with self._changed:
            if asked in self._line:
                self._line.remove(asked)
                self._changed.notify_all()
            turn = asked.turn
        if turn is not None:
            turn.leave()
