"""Images: from however they are given to RGB pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from video_tool.cancellation import check
from video_tool.errors import DecodeError, QuestionError, VideoToolError
from video_tool.progress import OnProgress, ignore_progress
from video_tool.question import ImageInput
from video_tool.settings import Settings
from video_tool.sources import open_source

_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
"""What images come in today. Pillow knows more, one of which (EPS) has it start another program."""


def read_image(
    image: ImageInput,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Image.Image:
    """An image in RGB, turned upright as its metadata says.

    Args:
        image: however it is given.
        settings: what getting it may take.
        on_progress: told about the bytes of a download.
        on_warning: told what the user should know about how it was had.

    Raises:
        QuestionError: an array that is no RGB image.
        SourceError: the image can't be had.
        DecodeError: it is no image, or more than Pillow's limit of pixels.
    """
    check()
    if isinstance(image, Image.Image):
        return ImageOps.exif_transpose(image).convert("RGB")
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise QuestionError(
                f"an image is an array {image.shape} of {image.dtype}",
                hint="Give (height, width, 3) RGB bytes (uint8), or a PIL image.",
            )
        return Image.fromarray(image)
    Image.init()
    formats = [each for each in _FORMATS if each in Image.OPEN]  # Pillow can be built without some
    with open_source(image, settings, on_progress) as file:
        for warning in file.warnings:
            on_warning(warning)
        try:
            with io.BufferedReader(_Content(file.path)) as content, Image.open(content, formats=formats) as opened:
                return ImageOps.exif_transpose(opened).convert("RGB")
        except VideoToolError:  # some are OSErrors, too
            raise
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
            raise DecodeError(
                f"{file.name} can't be read as an image: {type(error).__name__}",
                hint="Give a PNG, JPEG, WebP or similar; videos go into videos=[…].",
            ) from error


class _Content(io.FileIO):
    """A file that nobody reads on in once the work around is to stop: a large image takes seconds."""

    def readinto(self, buffer: Any, /) -> int | None:
        check()
        return super().readinto(buffer)
