"""Frames that a tool has shown, kept for a while so that a host can show them again."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from video_tool.adapters.results import ToolImage

_ROOT = "video-tool://frames/"

URI_TEMPLATE = f"{_ROOT}{{call}}/{{number}}"
"""RFC 6570: `call` is a secret that the call's result tells, `number` counts its frames from 0."""


@dataclass(frozen=True)
class KeptFrame:
    """One frame.

    Attributes:
        uri: by which it is read.
        name: for people.
        image: the picture.
    """

    uri: str
    name: str
    image: ToolImage


class KeptFrames:
    """The frames of recent calls; those that were used longest ago make room. Threads may share it.

    Nobody can guess a frame's URI: who reads it has had it from the result of a call.

    Args:
        most_bytes: of all frames together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._frames: OrderedDict[str, KeptFrame] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str, images: Sequence[ToolImage]) -> list[KeptFrame]:
        """Keeps the frames of a call, which is all of them unless they alone are too many bytes.

        Args:
            name: the video's.
            images: in order.
        """
        call = secrets.token_urlsafe(12)
        kept = [
            KeptFrame(f"{_ROOT}{call}/{number}", f"{name} at {image.timestamp:.2f} s", image)
            for number, image in enumerate(images)
        ]
        with self._lock:
            for frame in kept:
                self._frames[frame.uri] = frame
                self._size += len(frame.image.data)
            while self._size > self._most:
                _, oldest = self._frames.popitem(last=False)
                self._size -= len(oldest.image.data)
            return [frame for frame in kept if frame.uri in self._frames]

    def get(self, uri: str) -> KeptFrame | None:
        """The frame; None when there is none, or none any more."""
        with self._lock:
            if uri in self._frames:
                self._frames.move_to_end(uri)
            return self._frames.get(uri)

    def all(self) -> list[KeptFrame]:
        """All frames, the most recently used first."""
        with self._lock:
            return list(reversed(self._frames.values()))
