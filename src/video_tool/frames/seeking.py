"""Reading with PyAV from keyframe to keyframe: every frame is known by the time that its file gives it."""

from __future__ import annotations

import os
from array import array
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
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata, compact, end_of
from video_tool.frames.sample_table import shown_times

_MOST_THREADS = 4
"""Each one more holds a frame more, and the fifth saves little time."""


@dataclass(frozen=True, eq=False)
class PacketTimes:
    """When the frames of a file are shown, told without decoding any.

    Attributes:
        shown: of all frames, rising, in units of `unit`.
        keys: those of them that decode without others.
        unit: seconds.
        last: how long the last frame is shown, in units; 0 where its file does not say.
    """

    shown: NDArray[np.int64]
    keys: NDArray[np.int64]
    unit: Fraction
    last: int

    def seconds(self) -> NDArray[np.float64]:
        """Of each frame, the first at 0."""
        above, below = self.unit.as_integer_ratio()
        return np.round((self.shown - self.shown[0]) * float(above) / below, 6)

    def keyframes(self) -> list[int]:
        """The indices of the frames that decode without others."""
        return np.searchsorted(self.shown, self.keys).tolist()


def packet_times(container: Any, limits: Limits) -> PacketTimes:
    """Reads the packets of an open container's video, each of which should hold a frame.

    Raises:
        VideoTooLargeError: there are too many.
        DecodeError: they can't be read, or don't all have a time of their own.
    """
    from av.error import FFmpegError

    stream = container.streams.best("video")
    times, lengths, keys = array("q"), array("q"), array("q")  # of a film, Python's own integers take tens of megabytes
    try:
        for packet in container.demux(stream):  # half a million times, for the longest that is allowed
            if packet.size == 0 or packet.is_discard:  # the end, or a frame that an edit list leaves out
                continue
            pts = packet.pts
            if pts is None or packet.is_corrupt:
                raise DecodeError("not all of its frames have a time")
            times.append(pts)
            if len(times) > limits.max_frames:
                limits.check_frames(len(times))
            lengths.append(packet.duration or 0)
            if packet.is_keyframe:
                keys.append(pts)
    except FFmpegError as error:
        raise DecodeError(f"its packets can't be read: {error.strerror}") from error
    told = np.frombuffer(times, np.int64)
    shown = _rising(told)
    if shown is None:
        raise DecodeError("not all of its frames have a time of their own")
    return PacketTimes(shown, np.sort(np.frombuffer(keys, np.int64)), stream.time_base, lengths[int(told.argmax())])


def _rising(times: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """In order; None where there are none, or two are one."""
    shown = np.sort(times)  # `np.unique` takes many times as long for so many
    return shown if len(shown) and bool(np.all(np.diff(shown))) else None


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
    """See `VideoReader`. Gives up a file in which a frame is not where its packet says.

    Args:
        file: what to read.
        limits: what to keep to.
        opened: the file as `open_container` has opened it with its `quick_options`, which is closed in the end; opened
            here where it is not given.
    """

    def __init__(self, file: VideoFile, limits: Limits, opened: Any = None) -> None:
        from av.error import FFmpegError

        self._file = file
        self._limits = limits
        self._errors: tuple[type[Exception], ...] = (FFmpegError, ValueError, EOFError)
        options = {"max_pixels": str(limits.max_pixels)}
        try:
            self._container = opened or open_container(file, quick_options(file, limits))
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
        first = int(self._times.shown[0])
        self._first = next(self._decoded(first, [first]))
        self._size = (self._first.width, self._first.height)
        width, height = upright_size(self._first)
        self._limits.check_pixels(width, height)
        timestamps = compact(self._times.seconds())
        return VideoMetadata(width, height, timestamps, end_of(timestamps, float(self._times.last * self._times.unit)))

    def keyframes(self) -> Sequence[int]:
        return self._times.keyframes()

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        wanted: list[int] = self._times.shown[list(indices)].tolist()
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
        shown = _rising(times)
        if shown is None:
            return None
        found = PacketTimes(shown, np.sort(times[are_keys]), self._stream.time_base, 0)
        last = self._length(found)
        return None if last is None else replace(found, last=last)

    def _length(self, times: PacketTimes) -> int | None:
        """How long the last frame is shown; None where its packet is not found, and other times may be wrong, too."""
        last = int(times.shown[-1])
        try:
            self._container.seek(last, stream=self._stream)
            packets = self._container.demux(self._stream)
            return next((packet.duration or 0 for packet in packets if packet.pts == last), None)
        except self._errors:
            return None

    def _keyframe_before(self, shown: int) -> int:
        before = np.searchsorted(self._times.keys, shown, "right")
        return int(self._times.keys[before - 1] if before else self._times.shown[0])

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
