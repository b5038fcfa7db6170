"""Reading with PyAV from keyframe to keyframe: every frame is known by the time that its file gives it."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.pyav import open_container, quick_options, upright, upright_size
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata, end_of
from video_tool.frames.sample_table import shown_times

_MOST_THREADS = 4
"""Each one more holds a frame more, and the fifth saves little time."""


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
        first, (above, below) = self.shown[0], self.unit.as_integer_ratio()
        return tuple(round((shown - first) * above / below, 6) for shown in self.shown)

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
        for packet in container.demux(stream):  # half a million times, for the longest that is allowed
            if packet.size == 0 or packet.is_discard:  # the end, or a frame that an edit list leaves out
                continue
            packets += 1
            if packets > limits.max_frames:
                limits.check_frames(packets)
            pts = packet.pts
            if pts is None or packet.is_corrupt:
                raise DecodeError("not all of its frames have a time")
            lengths[pts] = packet.duration or 0
            if packet.is_keyframe:
                keys.append(pts)
    except FFmpegError as error:
        raise DecodeError(f"its packets can't be read: {error.strerror}") from error
    shown = tuple(sorted(lengths))
    if not shown or len(shown) < packets:
        raise DecodeError("not all of its frames have a time of their own")
    return PacketTimes(shown, tuple(sorted(keys)), stream.time_base, lengths[shown[-1]])


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _tells_references(decoder: Any) -> bool:
    """Whether a frame that its packet marks as no reference is one for no other frame at all.

    In H.264 (ITU-T H.264, 7.4.1, nal_ref_idc) that is so; in HEVC (ITU-T H.265, 7.4.2.2) only where there is a single
    temporal layer, as the fifth to third bits of byte 21 of its configuration say (ISO/IEC 14496-15, 8.3.3.1.2).
    """
    if decoder.name == "hevc":
        configuration = decoder.extradata or b""
        return len(configuration) > 21 and configuration[0] == 1 and configuration[21] >> 3 & 7 == 1
    return decoder.name == "h264"


class SeekingReader:
    """See `VideoReader`. Gives up a file in which a frame is not where its packet says."""

    def __init__(self, file: VideoFile, limits: Limits) -> None:
        from av.error import FFmpegError

        self._file = file
        self._limits = limits
        self._errors: tuple[type[Exception], ...] = (FFmpegError, ValueError, EOFError)
        options = {"max_pixels": str(limits.max_pixels)}
        try:
            # its tables say all: to look into the video as well would be to decode some of it
            self._container = open_container(file, quick_options(file, limits))
        except self._errors as error:
            raise DecodeError(f"pyav can't open it: {getattr(error, 'strerror', None) or error}") from error
        # containers and streams hold each other in PyAV: forgotten ones would keep the file open for a while
        finalize(self, self._container.close)
        self._stream = self._container.streams.best("video")
        decoder = self._stream.codec_context
        decoder.options = options
        decoder.thread_type, decoder.thread_count = "FRAME", _threads()
        self._passes_over = _tells_references(decoder)
        self._first: Any = None

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        # these have an index of their frames, so that seeking finds the frame and no other
        return file.container in ("mov", "matroska")

    def metadata(self) -> VideoMetadata:
        self._times = self._table() or packet_times(self._container, self._limits)
        self._first = next(self._decoded(self._times.shown[0], [self._times.shown[0]]))
        self._size = (self._first.width, self._first.height)
        width, height = upright_size(self._first)
        self._limits.check_pixels(width, height)
        timestamps = self._times.seconds()
        return VideoMetadata(width, height, timestamps, end_of(timestamps, float(self._times.last * self._times.unit)))

    def keyframes(self) -> Sequence[int]:
        return self._times.keyframes()

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        wanted = [self._times.shown[index] for index in indices]
        if wanted[:1] == [self._times.shown[0]]:
            yield upright(self._first, self._size)
            del wanted[0]
        for key, group in groupby(wanted, self._keyframe_before):
            for frame in self._decoded(key, list(group)):
                yield upright(frame, self._size)

    def _table(self) -> PacketTimes | None:
        """What `packet_times` would say, where the file's tables say it and its packets need not be read."""
        if self._file.container != "mov":
            return None
        self._limits.check_frames(len(self._stream.index_entries))
        with self._file.path.open("rb") as file:
            told = shown_times(file, self._stream)
        if told is None:
            return None
        times, are_keys = told
        shown, keys = np.unique(times), np.sort(times[are_keys])
        if not len(shown) or len(shown) < len(times):
            return None
        found = PacketTimes(tuple(shown.tolist()), tuple(keys.tolist()), self._stream.time_base, 0)
        last = self._length(found)
        return None if last is None else replace(found, last=last)

    def _length(self, times: PacketTimes) -> int | None:
        """How long the last frame is shown; None where its packet is not found, and other times may be wrong, too."""
        last = times.shown[-1]
        try:
            self._container.seek(last, stream=self._stream)
            packets = self._container.demux(self._stream)
            return next((packet.duration or 0 for packet in packets if packet.pts == last), None)
        except self._errors:
            return None

    def _keyframe_before(self, shown: int) -> int:
        before = bisect_right(self._times.keys, shown)
        return self._times.keys[before - 1] if before else self._times.shown[0]

    def _decoded(self, key: int, wanted: list[int]) -> Iterator[Any]:
        """The frames shown at rising times, all of them decoded from one keyframe on.

        Frames between them on which no other rests are passed over.
        """
        left = set(wanted)
        coming = iter(wanted)
        due = next(coming)
        for frame in self._passed(key, left):
            # those shown before the keyframe may well be marred: what they rest on was not decoded
            if frame.pts is None or frame.pts > due or (frame.pts >= key and frame.is_corrupt):
                break
            if frame.pts < due:
                continue
            yield frame
            due = next(coming, None)
            if due is None:
                return
        raise DecodeError(f"the frame at {float(due * self._times.unit):.3f} s is not where its packet says")

    def _passed(self, key: int, left: set[int]) -> Iterator[Any]:
        """All that comes out of the decoder until it has been given the packets of those that are left."""
        from av import logging

        decoder = self._stream.codec_context
        # what FFmpeg fills in for what is damaged, it tells there alone; the asking process counts the lines
        logging.restore_default_callback()
        logging.set_libav_level(logging.ERROR)
        try:
            self._container.seek(key, stream=self._stream)
            if not decoder.is_open:
                decoder.open()  # some decoders keep for good what they are told before
            for packet in self._container.demux(self._stream):
                if packet.size == 0:  # the end
                    break
                if packet.pts is not None and packet.pts < key:
                    # shown before the keyframe: what it rests on was not decoded, and that is no error of the file
                    logging.set_libav_level(logging.PANIC)
                decoder.skip_frame = "NONREF" if self._passes_over and packet.pts not in left else "DEFAULT"
                yield from decoder.decode(packet)
                left.discard(packet.pts)
                if not left:
                    break
            yield from decoder.decode(None)
        except self._errors as error:
            raise DecodeError(f"pyav can't decode it: {getattr(error, 'strerror', None) or error}") from error
        finally:
            logging.set_libav_level(logging.PANIC)
