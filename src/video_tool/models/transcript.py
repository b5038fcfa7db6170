"""What a model has said so far, and how much of it can be told already."""

from __future__ import annotations

from collections.abc import Sequence

from video_tool.models.base import OnText

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What tokenizers make of a letter of which some bytes are still to come."""


class Transcript:
    """The text of an answer while it grows: without blanks around it, and short of a stop string.

    Args:
        stop: strings before which the answer ends.
        on_text: told what comes new.

    Attributes:
        text: what was said so far.
        stopped: whether it came to a stop string.
    """

    def __init__(self, stop: Sequence[str], on_text: OnText | None) -> None:
        self.text = ""
        self.stopped = False
        self._stop, self._on_text = tuple(stop), on_text
        self._told = 0

    def read(self, whole: str) -> None:
        """Takes all that the model has said, from the first token on."""
        text = whole.lstrip()
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            text, self.stopped = text[: min(found)], True
        self.text = text.rstrip()

    def tell(self, *, whole: bool = False) -> None:
        """Tells what stays whatever comes; `whole` once nothing more comes. Raises what the listener raises."""
        if self._on_text is None:
            return
        sure = len(self.text) if whole else self._sure()
        self._on_text(self.text[self._told : sure])
        self._told = max(self._told, sure)

    def _sure(self) -> int:
        """How much of the text stays whatever comes: no half letter, no beginning of a stop string, no blank behind."""
        text = self.text.rstrip(_UNFINISHED)
        begun = (stop[:length] for stop in self._stop for length in range(1, len(stop)))
        if not self.stopped:
            text = text[: len(text) - max((len(part) for part in begun if text.endswith(part)), default=0)]
        return len(text.rstrip())
