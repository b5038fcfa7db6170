"""Reading with PyAV from keyframe to keyframe: every frame is known by the time that its file gives it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.pyav import open_container, upright, upright_size
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata, end_of


@dataclass(frozen=True)
class PacketTimes:
    """When the frames of a file are shown, told without decoding any.

    Attributes:
        shown: of all frames, rising, in units of `unit`.
        keys: those of them that decode without others.
        unit: seconds.
        last: how long the last frame is shown, in units; 0 where its file does not say.
    """

    shown: tuple[int, ...]
    keys: tuple[int, ...]
    unit: Fraction
    last: int

    def seconds(self) -> tuple[float, ...]:
        """Of each frame, the first at 0."""
        return tuple(round(float((shown - self.shown[0]) * self.unit), 6) for shown in self.shown)

    def keyframes(self) -> list[int]:
        """The indices of the frames that decode without others."""
        return [bisect_left(self.shown, key) for key in self.keys]


def packet_times(container: Any, limits: Limits) -> PacketTimes:
    """Reads the packets of an open container's video, each of which should hold a frame.

    Raises:
        VideoTooLargeError: there are too many.
        DecodeError: they can't be read, or don't all have a time of their own.
    """
    from av.error import FFmpegError

    stream = container.streams.best("video")
    lengths: dict[int, int] = {}
    keys: list[int] = []
    packets = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:  # the end, or a frame that an edit list leaves out
                continue
            packets += 1
            limits.check_frames(packets)
            if packet.pts is None or packet.is_corrupt:
                raise DecodeError("not all of its frames have a time")
            lengths[packet.pts] = packet.duration or 0
            if packet.is_keyframe:
                keys.append(packet.pts)
    except FFmpegError as error:
        raise DecodeError(f"its packets can't be read: {error.strerror}") from error
    shown = tuple(sorted(lengths))
    if not shown or len(shown) < packets:
        raise DecodeError("not all of its frames have a time of their own")
    return PacketTimes(shown, tuple(sorted(keys)), stream.time_base, lengths[shown[-1]])


class SeekingReader:
    """See `VideoReader`. Gives up a file in which a frame is not where its packet says."""

    def __init__(self, file: VideoFile, limits: Limits) -> None:
        from av.error import FFmpegError

        self._limits = limits
        self._errors: tuple[type[Exception], ...] = (FFmpegError, ValueError, EOFError)
        options = {"max_pixels": str(limits.max_pixels)}
        try:
            self._container = open_container(file, options)
        except self._errors as error:
            raise DecodeError(f"pyav can't open it: {getattr(error, 'strerror', None) or error}") from error
        # containers and streams hold each other in PyAV: forgotten ones would keep the file open for a while
        finalize(self, self._container.close)
        self._stream = self._container.streams.best("video")
        self._stream.codec_context.options = options

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        # these have an index of their frames, so that seeking finds the frame and no other
        return file.container in ("mov", "matroska")

    def metadata(self) -> VideoMetadata:
        self._times = packet_times(self._container, self._limits)
        first = next(self._decoded_from(self._times.shown[0]), None)
        if first is None:
            raise DecodeError("no frame of it can be decoded")
        self._size = (first.width, first.height)
        width, height = upright_size(first)
        self._limits.check_pixels(width, height)
        timestamps = self._times.seconds()
        return VideoMetadata(width, height, timestamps, end_of(timestamps, float(self._times.last * self._times.unit)))

    def keyframes(self) -> Sequence[int]:
        return self._times.keyframes()

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        decoded: Iterator[Any] = iter(())
        reached: int | None = None
        for index in indices:
            wanted = self._times.shown[index]
            before = bisect_right(self._times.keys, wanted)
            key = self._times.keys[before - 1] if before else self._times.shown[0]
            if reached is None or key > reached:
                decoded = self._decoded_from(key)
            frame = next((frame for frame in decoded if frame.pts is None or frame.pts >= wanted), None)
            if frame is None or frame.pts != wanted or frame.is_corrupt:
                raise DecodeError(f"frame {index} is not where its packet says")
            reached = wanted
            yield upright(frame, self._size)

    def _decoded_from(self, key: int) -> Iterator[Any]:
        """The frames from the keyframe on that is shown at this time, in the order in which they are shown."""
        try:
            self._container.seek(key, stream=self._stream)
            yield from self._container.decode(self._stream)
        except self._errors as error:
            raise DecodeError(f"pyav can't decode it: {getattr(error, 'strerror', None) or error}") from error
