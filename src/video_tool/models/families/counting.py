"""How many visual tokens media take, told by their sizes alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""Height and width."""
Shape = tuple[int, int, int]
"""Frames, height and width."""

_PROBES: tuple[Shape, ...] = ((3, 90, 160), (4, 75, 50))
"""Videos with which a processor's own arithmetic is put to the test."""


@dataclass(frozen=True)
class Counted:
    """What a processor made of media without words.

    Attributes:
        visual: tokens that stand for frames and images.
        beside: the others, such as ends of rows, and times.
    """

    visual: int
    beside: int


class TokenCounter:
    """Counts by handing noise to the processor, and remembers.

    For videos, a processor's own arithmetic is used where it agrees with what the processor does; else the tokens of
    one, two and three frames are counted, and carried on where each frame adds as many.

    Args:
        processor: the checkpoint's.
        count: what is made of images (height, width, 3) and videos (frames, height, width, 3) in one prompt.

    Attributes:
        image_size: to which the processor resizes images of all sizes, before it does anything else; None where it does
            not, or where that is not known.
    """

    def __init__(
        self, processor: Any, count: Callable[[Sequence[NDArray[np.uint8]], Sequence[NDArray[np.uint8]]], Counted]
    ) -> None:
        self.image_size: Size | None = None
        self._processor = processor
        self._count = count
        self._images: dict[tuple[Size, int], Counted] = {}
        self._videos: dict[Shape, int] = {}
        self._trusted: bool | None = None

    def images(self, sizes: Sequence[Size]) -> int:
        """Visual tokens of images in one prompt; some processors look less closely at several than at one."""
        copies = 1 if len(sizes) == 1 else 2
        return sum(self._copies(size, copies).visual // copies for size in sizes)

    def beside_images(self, sizes: Sequence[Size]) -> float:
        """Tokens besides the visual ones, as they are for each of several images."""
        return sum(self._copies(size, 2).beside / 2 for size in sizes)

    def trusts(self) -> bool:
        """Whether the processor's own arithmetic for videos agrees with what it does."""
        if self._trusted is None:
            self._trusted = all(self._told(probe) == self._counted(probe) for probe in _PROBES)
        return self._trusted

    def _copies(self, size: Size, copies: int) -> Counted:
        size = self.image_size or size
        if (size, copies) not in self._images:
            self._images[size, copies] = self._count([noise(*size)] * copies, [])
        return self._images[size, copies]

    def videos(self, shapes: Sequence[Shape]) -> int:
        """Visual tokens of videos in one prompt; the most that they may take, where it depends on what they show."""
        for shape in {*shapes} - self._videos.keys():
            self._videos[shape] = self._video(shape)
        return sum(self._videos[shape] for shape in shapes)

    def _video(self, shape: Shape) -> int:
        told = self._told(shape) if self.trusts() else None
        if told is not None:
            return told
        frames, height, width = shape
        one, two, three = (self._counted((number, height, width)) for number in (1, 2, 3))
        if two - one == three - two:
            return one + (frames - 1) * (two - one)
        return self._counted(shape)

    def _told(self, shape: Shape) -> int | None:
        """What the processor itself says; Transformers has this for servers of models, and not for all processors."""
        ask = getattr(self._processor, "_get_num_multimodal_tokens", None)
        if ask is None:
            return None
        try:
            told = ask(video_sizes=[list(shape)])
            return int(told["num_video_tokens"][0])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None

    def _counted(self, shape: Shape) -> int:
        return self._count([], [noise(*shape)]).visual


def noise(*size: int) -> NDArray[np.uint8]:
    """Not black: some processors leave out what stays as it was."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
