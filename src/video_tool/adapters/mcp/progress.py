"""What the engine does right now, as the protocol tells it: a number that only grows, and words for a person."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from video_tool.progress import Progress, Stage

_WORDS: dict[Stage, str] = {
    "download": "Downloading",
    "decode": "Reading frames",
    "load": "Loading the model",
    "generate": "Answering",
}

_NEARLY = 0.99
"""The most that a step counts for which has not been followed by another."""


@dataclass(frozen=True)
class Position:
    """How far a call is.

    Attributes:
        steps: how many steps (a stage, working on one thing) are done, with the part of the current one that is. How
            many there will be is not known before they begin.
        words: what is being done.
    """

    steps: float
    words: str


class CallProgress:
    """Follows one call. Told from the thread that works, asked from the one that tells the client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._step: tuple[str, str] | None = None
        self._done = -1
        self._pieces = 0
        self._latest: Position | None = None
        self._told = -1.0

    def tell(self, news: Progress) -> None:
        """Takes news of the engine."""
        with self._lock:
            if (news.stage, news.subject) != self._step:
                self._step = news.stage, news.subject
                self._done += 1
                self._pieces = 0
            self._pieces += 1
            # where nobody knows how much there is, each piece of news halves what may be left
            part = news.done / news.total if news.total else 1 - 0.5 ** (self._pieces - 1)
            self._latest = Position(self._done + min(max(part, 0.0), _NEARLY), _words(news))

    def news(self) -> Position | None:
        """How far it is; None when it is no further than what was returned last."""
        with self._lock:
            if self._latest is None or self._latest.steps <= self._told:
                return None
            self._told = self._latest.steps
            return self._latest


def _words(news: Progress) -> str:
    # without the subject: a model's may be a path of this machine, and a video's may say anything
    words = _WORDS[news.stage]
    if news.unit == "models" or not news.done:
        return words
    if news.unit == "bytes":
        amount = f"{news.done / 1e6:.1f}" + (f" of {news.total / 1e6:.1f}" if news.total else "")
        return f"{words}: {amount} MB"
    return f"{words}: {news.done}" + (f" of {news.total}" if news.total else "") + f" {news.unit}"
