"""In which size frames may be read: where a processor would do no more than resize them, that is done beforehand."""

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


def _equal(images: Any, shape: tuple[int, int], size: FrameSize) -> bool:
    whole = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8))
    resized = whole.resize((size.width, size.height), Image.Resampling(size.resample))
    made, expected = (images(images=[image], return_tensors="np") for image in (resized, whole))
    return set(made) == set(expected) and all(np.array_equal(made[name], expected[name]) for name in expected)
