"""Reading with decord (from the distribution decord2): quick seeking, most formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.reader import VideoMetadata, end_of


class DecordReader:
    """See `VideoReader`."""

    name = "decord"

    def __init__(self, path: Path) -> None:
        import decord

        # a damaged frame is filled in without a word, except here: these lines go to standard error and are counted
        decord.logging.set_level(decord.logging.ERROR)
        self._error: type[Exception] = decord.DECORDError
        try:
            self._video: Any = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        except (self._error, RuntimeError) as error:
            raise DecodeError(f"decord can't open it: {_first_line(error)}") from error

    def metadata(self) -> VideoMetadata:
        try:
            total = len(self._video)
            shown = np.asarray(self._video.get_frame_timestamp(range(total)), dtype=np.float64)
            height, width = self._video[0].shape[:2]
        except (self._error, RuntimeError, IndexError) as error:
            raise DecodeError(f"decord can't read it: {_first_line(error)}") from error
        # decord counts seconds in 32 bits: the digits behind these are noise
        starts, ends = np.round(shown - shown[0, 0], 6).T
        timestamps = tuple(float(t) for t in starts)
        return VideoMetadata(width, height, timestamps, end_of(timestamps, float(ends[-1] - starts[-1])))

    def frames(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        try:
            frames: NDArray[np.uint8] = self._video.get_batch(list(indices)).asnumpy()
        except (self._error, RuntimeError) as error:
            raise DecodeError(f"decord can't decode a frame: {_first_line(error)}") from error
        return frames


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
