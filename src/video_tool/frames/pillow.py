"""Reading with Pillow: animated WebP, for which FFmpeg has no decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata, end_of


class PillowReader:
    """See `VideoReader`."""

    def __init__(self, file: VideoFile, limits: Limits) -> None:
        from PIL import Image, UnidentifiedImageError

        self._errors: tuple[type[Exception], ...] = (
            UnidentifiedImageError,
            Image.DecompressionBombError,
            OSError,
            EOFError,
            ValueError,
            SyntaxError,
        )
        try:
            self._image: Any = Image.open(file.path, formats=["WEBP"])
        except self._errors as error:
            raise DecodeError(f"pillow can't open it: {type(error).__name__}") from error
        limits.check_pixels(*self._image.size)
        limits.check_frames(self._image.n_frames)

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        return file.container == "webp"

    def metadata(self) -> VideoMetadata:
        timestamps = list[float]()
        end = 0.0
        for number in range(self._image.n_frames):
            self._show(number)
            timestamps.append(round(end, 6))
            length = self._image.info.get("duration", 0) / 1000
            end += length if length > 0 else end_of([0.0], 0)
        width, height = self._image.size
        return VideoMetadata(width, height, tuple(timestamps), end)

    def keyframes(self) -> Sequence[int]:
        return (0,)  # every other is composed on those before it

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        for index in indices:
            self._show(index)
            yield np.asarray(self._image.convert("RGB"))

    def _show(self, number: int) -> None:
        try:
            self._image.seek(number)
            self._image.load()
        except self._errors as error:
            raise DecodeError(f"pillow can't decode frame {number}: {type(error).__name__}") from error
