"""What a video reader is: the small protocol behind which decoders are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_FRAME_SECONDS = 0.04
"""How long a frame lasts of which nothing is known."""


@dataclass(frozen=True)
class VideoMetadata:
    """What a reader knows of a video.

    Attributes:
        width: pixels, as shown (after rotation).
        height: pixels, as shown.
        timestamps: seconds at which each frame is shown, rising, the first at 0.
        duration: seconds until the last frame is over.
        damaged: how many frames it found missing or marred.
    """

    width: int
    height: int
    timestamps: tuple[float, ...]
    duration: float
    damaged: int = 0


def end_of(timestamps: Sequence[float], last: float) -> float:
    """When a video is over whose last frame lasts `last` seconds; 0 where its file does not say: like the others."""
    if last <= 0:
        last = timestamps[-1] / (len(timestamps) - 1) if timestamps[-1] > 0 else _FRAME_SECONDS
    return timestamps[-1] + last


class VideoReader(Protocol):
    """Reads one video file. Made with a path; raises `DecodeError` for what it can't read."""

    name: str

    def __init__(self, path: Path) -> None: ...

    def metadata(self) -> VideoMetadata:
        """Size and timestamps of all frames."""
        ...

    def frames(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """The frames at the rising `indices`, as (frames, height, width, 3) RGB bytes."""
        ...
