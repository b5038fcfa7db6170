"""What comes out of reading a video."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from video_tool.answer import VideoInfo


@dataclass(frozen=True)
class Frames:
    """The frames of one video that a question looks at.

    Attributes:
        images: (frames, height, width, 3) RGB bytes.
        indices: the frames' numbers in the video, rising.
        timestamps: seconds at which they are shown.
        info: the video that they are from.
        warnings: what the user should know about the choice.
        fetch_seconds: how long it took to get the file.
        decode_seconds: how long it took to read the frames.
    """

    images: NDArray[np.uint8] = field(repr=False)
    indices: tuple[int, ...]
    timestamps: tuple[float, ...]
    info: VideoInfo
    warnings: tuple[str, ...] = ()
    fetch_seconds: float = 0.0
    decode_seconds: float = 0.0

    def kept(self) -> Self:
        """The same for a later turn, which no longer spends time on getting it."""
        return replace(self, fetch_seconds=0.0, decode_seconds=0.0)

    def thinned(self, count: int) -> Self:
        """No more than so many of its frames, evenly spread."""
        total = len(self.images)
        if total <= count:
            return self
        kept = [i * total // count for i in range(count)]
        return replace(
            self,
            images=self.images[kept],
            indices=tuple(self.indices[i] for i in kept),
            timestamps=tuple(self.timestamps[i] for i in kept),
        )
