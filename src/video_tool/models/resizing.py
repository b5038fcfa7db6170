"""What a processor does with an image: whether it would do no more than resize it, and whether others matter to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from video_tool.frames import FrameSize

_PROBES = ((90, 160), (160, 90), (7, 11), (700, 1500), (1500, 700))
"""Heights and widths of pictures to try: wide, high, smaller than any model's, and large enough to be cut up."""


def frame_size(processor: Any) -> FrameSize | None:
    """The one size to which a processor resizes every image; None where it has none, or does more than that.

    What a processor says of itself is not relied on: it is given noise of several sizes, once as it is and once
    resized by Pillow as its configuration tells, and has to make the same of both, bit for bit.
    """
    images = getattr(processor, "image_processor", None)
    size = getattr(images, "size", None)
    height, width = (getattr(size, name, None) for name in ("height", "width"))
    resample = getattr(images, "resample", None)
    if not (getattr(images, "do_resize", False) and height and width and isinstance(resample, int)):
        return None
    found = FrameSize(int(width), int(height), int(resample))
    return found if all(_equal(images, shape, found) for shape in _PROBES) else None


def takes_apart(processor: Any) -> bool:
    """Whether a processor makes the same of an image whatever is beside it, and as many pixels of every one.

    It is given noise of several sizes, all at once and one by one, and has to make the same of each, bit for bit.
    """
    images = getattr(processor, "image_processor", None)
    if images is None:
        return False
    shown = [_noise(shape) for shape in _PROBES]
    try:
        together = images(images=shown, return_tensors="np")
        return all(
            len(together[name]) == len(shown) and np.array_equal(together[name][number : number + 1], value)
            for number, image in enumerate(shown)
            for name, value in images(images=[image], return_tensors="np").items()
        )
    except (IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return False  # it makes several sizes of them, which can't be stacked


def _noise(shape: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8))


def _equal(images: Any, shape: tuple[int, int], size: FrameSize) -> bool:
    whole = _noise(shape)
    resized = whole.resize((size.width, size.height), Image.Resampling(size.resample))
    made, expected = (images(images=[image], return_tensors="np") for image in (resized, whole))
    return set(made) == set(expected) and all(np.array_equal(made[name], expected[name]) for name in expected)
