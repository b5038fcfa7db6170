"""What a video reader is: the small protocol behind which decoders are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoMetadata:
    """What a reader knows of a video before any frame is decoded.

    Attributes:
        width: pixels, as shown (after rotation).
        height: pixels, as shown.
        fps: frames per second, on average.
        timestamps: seconds at which each frame is shown, rising, the first at 0.
        duration: seconds until the last frame is over.
        codec: the codec's name, or empty.
    """

    width: int
    height: int
    fps: float
    timestamps: tuple[float, ...]
    duration: float
    codec: str = ""


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
