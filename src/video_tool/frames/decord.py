"""Reading with decord (from the distribution decord2): quick seeking, most formats."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.pyav import open_container, quick_options
from video_tool.frames.reader import Limits, UnsuitableReaderError, VideoFile, VideoMetadata, compact, end_of
from video_tool.frames.sandbox import one_file_at_a_time
from video_tool.frames.seeking import packet_times

_LEFT_OUT = frozenset({"", "webp", "apng", "mpeg", "mpegts"})
"""What it does not read, or where it can't find a frame again; on some transport streams it hangs, holding the
interpreter's lock."""
_NEAR = 1e-3
"""Seconds: so near to each other, two times are one."""
_NEVER = 1e9
"""Seconds: what a frame without a time gets is beyond this."""


class DecordReader:
    """See `VideoReader`."""

    def __init__(self, file: VideoFile, limits: Limits) -> None:
        import decord

        # a damaged frame is filled in without a word, except here: these lines go to standard error and are counted
        decord.logging.set_level(decord.logging.ERROR)
        self._errors: tuple[type[Exception], ...] = (decord.DECORDError, RuntimeError, IndexError, AssertionError)
        self._file = file
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
            self._shown = shown[:, 0]
            self._first: NDArray[np.uint8] = self._video[0].asnumpy()
        except self._errors as error:
            raise DecodeError(f"decord can't read it: {_first_line(error)}") from error
        if not (np.all(np.diff(self._shown) >= 0) and np.all(np.abs(self._shown) < _NEVER)):
            raise UnsuitableReaderError("decord knows no times of its frames")
        height, width = self._first.shape[:2]
        self._limits.check_pixels(width, height)
        # decord counts seconds in 32 bits: the digits behind these are noise
        starts, ends = np.round(shown - shown[0, 0], 6).T
        timestamps = compact(starts)
        end = end_of(timestamps, float(ends[-1] - starts[-1]))
        return VideoMetadata(width, height, timestamps, end)

    def keyframes(self) -> Sequence[int]:
        # decord's own are counted in the order of decoding
        try:
            with self._container() as container:
                times = packet_times(container, self._limits)
        except DecodeError:
            return ()
        found = times.keyframes()
        return found if len(times.shown) == len(self._shown) else ()

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        self._check_seeks(indices)
        for index in indices:
            if index == 0:
                yield self._first
                continue
            try:
                yield self._video[index].asnumpy()
            except (*self._errors, StopIteration) as error:
                raise DecodeError(f"decord can't decode frame {index}: {_first_line(error)}") from error

    def _check_seeks(self, indices: Sequence[int]) -> None:
        """Sees to it that decord finds these frames.

        It counts keyframes in the order of decoding and takes that for the order of showing. Where frames are shown
        before a keyframe that they are decoded after (an open group of pictures), it lands some frames off.

        Raises:
            UnsuitableReaderError: it would not find them.
        """
        keys = [int(key) for key in self._video.get_key_indices()]
        passed = {keys[max(bisect_right(keys, index) - 1, 0)] for index in indices} - {0}
        if not passed:
            return
        with self._container() as container:
            stream = container.streams.best("video")
            for key in sorted(passed):
                shown = float(self._shown[key])
                container.seek(round(shown / stream.time_base), stream=stream)
                packet = next(container.demux(stream))
                if packet.pts is None or abs(float(packet.pts * stream.time_base) - shown) > _NEAR:
                    raise UnsuitableReaderError("decord loses its place in it")

    @contextmanager
    def _container(self) -> Generator[Any]:
        """The file as PyAV opens it."""
        from av.error import FFmpegError

        try:
            with open_container(self._file, quick_options(self._file, self._limits)) as container:
                yield container
        except FFmpegError as error:
            raise DecodeError(f"pyav can't open it: {error.strerror}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
