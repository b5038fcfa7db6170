"""Reading with PyAV from the start: slow, but it reads what others do not."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata, compact, end_of

_SAY_THEIR_SIZE = ("mov", "matroska")
"""The containers that tell how large frames are; in others FFmpeg has to look into the video."""


def quick_options(file: VideoFile, limits: Limits) -> dict[str, str]:
    """Options for `open_container` with which as little as possible is decoded to know the streams."""
    if file.container in _SAY_THEIR_SIZE:
        # bytes, the fewest there can be; and of the frame that FFmpeg comes upon in them nothing is decoded
        return {"probesize": "32", "skip_frame": "all"}
    # the rate is not asked for, and to guess it a second of video may be decoded
    return {"fpsprobesize": "0", "max_pixels": str(limits.max_pixels)}


def open_container(file: VideoFile, options: dict[str, str], *, guess: bool = False) -> Any:
    """The file as a PyAV container, opened as what its first bytes tell that it is.

    Args:
        file: what to open.
        options: FFmpeg's, for the container and for what it decodes in order to know the file.
        guess: have FFmpeg guess the container; it is an error when that comes to another one.

    Raises:
        av.error.FFmpegError: FFmpeg can't open it.
    """
    import av

    # whatever the file says, FFmpeg opens no address for it
    options = options | {"protocol_whitelist": "file"}
    if guess:
        return av.open(str(file.path), options=options | {"format_whitelist": file.container})
    return av.open(str(file.path), format=file.container, options=options)


class PyAVReader:
    """See `VideoReader`. Decodes from the start: what it is handed, others could not index."""

    def __init__(self, file: VideoFile, limits: Limits) -> None:
        from av.error import FFmpegError

        self._file = file
        self._limits = limits
        self._options = {"max_pixels": str(limits.max_pixels)}
        self._damaged = 0
        self._keyframes: list[int] = []
        self._size = (0, 0)
        self._errors: tuple[type[Exception], ...] = (FFmpegError, ValueError, EOFError)

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        return file.container not in ("", "webp")

    def metadata(self) -> VideoMetadata:
        times = array("d")
        width = height = 0
        length = 0.0
        self._damaged, self._keyframes = 0, []
        for frame in self._decoded():
            self._damaged += frame.is_corrupt
            if frame.key_frame:
                self._keyframes.append(len(times))
            if not times:
                self._size = (frame.width, frame.height)
                width, height = upright_size(frame)
                self._limits.check_pixels(width, height)
            times.append(float(frame.time) if frame.time is not None else (times[-1] + 0.04 if times else 0.0))
            length = float(frame.duration * frame.time_base) if frame.duration else length
            self._limits.check_frames(len(times))
        if not times:
            raise DecodeError("no frame of it can be decoded")
        shown: NDArray[np.float64] = np.maximum.accumulate(np.frombuffer(times, np.float64)) - times[0]
        timestamps = compact(np.round(shown, 6))
        return VideoMetadata(width, height, timestamps, end_of(timestamps, length), self._damaged)

    def keyframes(self) -> Sequence[int]:
        return self._keyframes

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        waiting = iter(indices)
        wanted = next(waiting, None)
        for number, frame in enumerate(self._decoded()):
            if number == wanted:
                yield upright(frame, self._size)
                wanted = next(waiting, None)
            if wanted is None:
                return
        raise DecodeError(f"frame {wanted} can't be decoded")

    def _decoded(self) -> Iterator[Any]:
        """The frames that can be decoded; damaged ones are left out."""
        try:
            container = open_container(self._file, self._options)
        except self._errors as error:
            raise DecodeError(f"pyav can't open it: {getattr(error, 'strerror', None) or error}") from error
        with container:
            stream = container.streams.best("video")
            stream.codec_context.options = self._options
            for packet in self._packets(container, stream):
                try:
                    yield from stream.decode(packet)
                except self._errors:
                    self._damaged += 1

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            for number, packet in enumerate(container.demux(stream)):
                self._limits.check_frames(number)  # those that can't be decoded take time, too
                yield packet
        except self._errors:
            self._damaged += 1
            yield None  # which asks the decoder for the frames that it still holds


def upright_size(frame: Any) -> tuple[int, int]:
    """Width and height of a frame as it is shown."""
    return (frame.height, frame.width) if _turns(frame) % 2 else (frame.width, frame.height)


def upright(frame: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame's RGB bytes as they are shown.

    Args:
        frame: as PyAV decoded it.
        size: width and height, as stored, of the video's first frame: a video may change its size on the way.
    """
    width, height = size
    return np.rot90(frame.to_ndarray(format="rgb24", width=width, height=height), k=_turns(frame))


def _turns(frame: Any) -> int:
    """Quarter turns, counterclockwise, that put the frame upright; 0 where its file says nonsense."""
    return round(frame.rotation / 90) if abs(frame.rotation) <= 360 else 0
