"""Reading with decord (from the distribution decord2): quick seeking, most formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata, end_of
from video_tool.frames.sandbox import one_file_at_a_time

_LEFT_OUT = frozenset({"", "webp", "apng", "mpegts"})
"""What it does not read; on some transport streams it hangs, holding the interpreter's lock, and in others fails."""


class DecordReader:
    """See `VideoReader`."""

    name: ClassVar[str] = "decord"

    def __init__(self, file: VideoFile, limits: Limits) -> None:
        import decord

        # a damaged frame is filled in without a word, except here: these lines go to standard error and are counted
        decord.logging.set_level(decord.logging.ERROR)
        self._errors: tuple[type[Exception], ...] = (decord.DECORDError, RuntimeError, IndexError, AssertionError)
        self._limits = limits
        try:
            # it follows what it takes for a playlist, on to other files and addresses
            with one_file_at_a_time():
                self._video: Any = decord.VideoReader(str(file.path), ctx=decord.cpu(0), num_threads=1)
        except self._errors as error:
            raise DecodeError(f"decord can't open it: {_first_line(error)}") from error

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        # it can't be told which container to expect
        return file.guessed and file.container not in _LEFT_OUT

    def metadata(self) -> VideoMetadata:
        try:
            total = len(self._video)
            self._limits.check_frames(total)
            shown = np.asarray(self._video.get_frame_timestamp(range(total)), dtype=np.float64)
            keyframes = tuple(int(index) for index in self._video.get_key_indices() if index < total)
            self._first: NDArray[np.uint8] = self._video[0].asnumpy()
        except self._errors as error:
            raise DecodeError(f"decord can't read it: {_first_line(error)}") from error
        height, width = self._first.shape[:2]
        self._limits.check_pixels(width, height)
        # decord counts seconds in 32 bits: the digits behind these are noise
        starts, ends = np.round(shown - shown[0, 0], 6).T
        timestamps = tuple(starts.tolist())
        end = end_of(timestamps, float(ends[-1] - starts[-1]))
        return VideoMetadata(width, height, timestamps, end, keyframes=keyframes)

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        for index in indices:
            if index == 0:
                yield self._first
                continue
            try:
                yield self._video[index].asnumpy()
            except (*self._errors, StopIteration) as error:
                raise DecodeError(f"decord can't decode frame {index}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
