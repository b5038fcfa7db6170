"""A video that a worker has open, or of which enough is known without: what frames are chosen by."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from video_tool.errors import DecodeError
from video_tool.frames.cache import Learnt
from video_tool.frames.pool import Budget, Worker
from video_tool.frames.reader import VideoMetadata


class NotLearntError(Exception):
    """The file has to be opened for it."""


@dataclass(frozen=True)
class OpenVideo:
    """A video to choose frames of.

    Attributes:
        learnt: what is known of it; what is asked of a worker besides is added.
    """

    learnt: Learnt
    _asked: tuple[Worker, Budget] | None = field(default=None, repr=False)

    @property
    def metadata(self) -> VideoMetadata:
        """What its reader found."""
        return self.learnt.metadata

    def keyframes(self) -> list[int]:
        """The indices of the frames that decode without others; empty where they are not known.

        Raises:
            DecodeError: the worker fails, or takes too long.
        """
        return self._indices({"step": "keys"}, 0, len(self.metadata.timestamps))

    def cuts(self, first: int, stop: int) -> list[int]:
        """The indices of the frames, after `first` and before `stop`, with which a new scene begins.

        All frames of that range are decoded for it. Raises as `keyframes` does.
        """
        return self._indices({"step": "cuts", "first": first, "stop": stop}, first + 1, stop)

    def _indices(self, request: dict[str, Any], first: int, stop: int) -> list[int]:
        place = (request["step"], first, stop)
        if place not in self.learnt.places:
            if self._asked is None:
                raise NotLearntError
            worker, budget = self._asked
            _, (told,) = worker.ask(request, budget, follow=(4 * max(stop - first, 0),))
            with sensible(worker):
                indices: list[int] = np.frombuffer(told, np.uint32).tolist()
                if not all(a < b for a, b in pairwise([first - 1, *indices, stop])):
                    raise ValueError("no indices of this video")
            self.learnt.places[place] = indices
        return list(self.learnt.places[place])


@contextmanager
def sensible(worker: Worker) -> Generator[None]:
    """Takes what the block makes of an answer for nonsense when it fails."""
    try:
        yield
    except (ValueError, TypeError, LookupError, OSError) as error:
        worker.usable = False
        raise DecodeError("decoding it gave nonsense") from error
