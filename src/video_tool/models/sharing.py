"""One copy of the same thing in a process, for however many want it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from video_tool.cancellation import acquire

T = TypeVar("T")


class Shared(Generic[T]):
    """What is in memory, by what it was loaded from and how.

    It holds nothing itself: a thing goes when the last who got it lets go of it. One is loaded at a time, whoever
    asks: while Transformers loads, it changes defaults of torch, which are the process's.
    """

    def __init__(self) -> None:
        self._in_memory: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._loading = threading.Lock()

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """What is there for the key, loaded if nothing is.

        Raises:
            CancelledError, DeadlineError: the work around is to stop, and others still load.
        """
        with acquire(self._loading):
            found = self._in_memory.get(key)
            if found is None:
                found = self._in_memory[key] = load()
            return found
