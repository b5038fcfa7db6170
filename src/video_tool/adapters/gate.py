"""How many calls are worked on at once, how many wait, and what the others are told."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from video_tool.cancellation import acquire
from video_tool.errors import BusyError

_SMOOTHING = 0.3
"""What the newest call counts for in the average of how long calls take."""


class Gate:
    """Lets so many calls work at once, and has so many wait.

    Args:
        most: calls at once; 1 or more.
        most_waiting: calls that wait; with 0 none does.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        self._most = most
        self._most_waiting = most_waiting
        self._slots = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._inside = 0
        self._average = 1.0  # seconds

    @contextmanager
    def passed(self) -> Generator[None]:
        """Waits for a slot, and holds it for the length of a with-block.

        Raises:
            BusyError: too many wait already; it says after how many seconds to come back.
            CancelledError: it was cancelled while it waited; DeadlineError: so it was by its deadline.
        """
        with self._lock:
            if self._inside >= self._most + self._most_waiting:
                seconds = max(1, math.ceil(self._average * (self._most_waiting + 1) / self._most))
                raise BusyError(
                    "the tool has as many calls as it takes",
                    hint=f"Call again in {seconds} s.",
                    retryable=True,
                    retry_after=seconds,
                )
            self._inside += 1
        try:
            with acquire(self._slots):
                began = time.monotonic()
                yield
                self._average += _SMOOTHING * (time.monotonic() - began - self._average)
        finally:
            with self._lock:
                self._inside -= 1
