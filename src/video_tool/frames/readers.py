"""The readers there are: other people's first, for whoever installs one wants it used, then ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from video_tool.frames.decord import DecordReader
from video_tool.frames.pillow import PillowReader
from video_tool.frames.pyav import PyAVReader
from video_tool.frames.reader import VideoFile, VideoReader
from video_tool.frames.seeking import SeekingReader
from video_tool.plugins import Extensions

_OURS: dict[str, type[VideoReader]] = {
    "pyav-seeking": SeekingReader,
    "decord": DecordReader,
    "pyav": PyAVReader,
    "pillow": PillowReader,
}

_METHODS = ("reads", "metadata", "keyframes", "frames")


def _misfit(offer: Any) -> str:
    missing = [method for method in _METHODS if not callable(getattr(offer, method, None))]
    if isinstance(offer, type) and not missing:
        return ""
    return f"it is no class with {', '.join(_METHODS)}"


READERS: Extensions[type[VideoReader]] = Extensions("readers", _OURS, _misfit)
"""Those of other packages."""


class Readers:
    """All that a decoding process reads with.

    Args:
        allowed: the distributions whose readers count; None for all.
    """

    def __init__(self, allowed: Sequence[str] | None) -> None:
        self._found = READERS.find(allowed)
        self._all = {**self._found.offers, **_OURS}

    def __getitem__(self, name: str) -> type[VideoReader]:
        return self._all[name]

    def suited_to(self, file: VideoFile) -> tuple[list[str], list[str]]:
        """The names of those to try on a file, in order; and what is wrong with broken ones, in a line each."""
        suited: list[str] = []
        complaints = self._found.complaints()
        for name, reader in self._all.items():
            try:
                if reader.reads(file):
                    suited.append(name)
            except Exception as error:
                if name in _OURS:
                    raise
                complaints.append(self._found.plugin(name).broken(error).complaint)
        return suited, complaints
