"""Reading with PyAV: slower to seek, but it reads what decord does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError, NoVideoError
from video_tool.frames.reader import VideoMetadata, end_of


class PyAVReader:
    """See `VideoReader`. Decodes from the start: what it is handed, others could not index."""

    name = "pyav"

    def __init__(self, path: Path) -> None:
        import av
        from av.error import FFmpegError

        self._path = path
        self._damaged = 0
        self._errors: tuple[type[Exception], ...] = (FFmpegError, ValueError, EOFError)
        try:
            with av.open(str(path)) as container:
                found = container.streams.best("video") is not None
        except self._errors as error:
            raise NoVideoError(f"it is no video file: {getattr(error, 'strerror', None) or error}") from error
        if not found:
            raise NoVideoError("it holds no video stream")

    def metadata(self) -> VideoMetadata:
        times: list[float] = []
        width = height = 0
        length = 0.0
        self._damaged = 0
        for frame in self._decoded():
            self._damaged += frame.is_corrupt
            if not times:
                width, height = (frame.height, frame.width) if _turns(frame) % 2 else (frame.width, frame.height)
            times.append(float(frame.time) if frame.time is not None else (times[-1] + 0.04 if times else 0.0))
            length = float(frame.duration * frame.time_base) if frame.duration else length
        if not times:
            raise DecodeError("no frame of it can be decoded")
        timestamps = tuple(float(t) for t in np.round(np.maximum.accumulate(np.asarray(times) - times[0]), 6))
        return VideoMetadata(width, height, timestamps, end_of(timestamps, length), self._damaged)

    def frames(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        wanted, kept = set(indices), list[NDArray[np.uint8]]()
        for number, frame in enumerate(self._decoded()):
            if number in wanted:
                turned = np.rot90(frame.to_ndarray(format="rgb24"), k=_turns(frame))
                kept.append(np.ascontiguousarray(turned))
            if number >= indices[-1]:
                break
        if len(kept) < len(indices):
            raise DecodeError(f"only {len(kept)} of {len(indices)} frames can be decoded")
        return np.stack(kept)

    def _opened(self) -> Any:
        import av

        return av.open(str(self._path))

    def _decoded(self) -> Iterator[Any]:
        """The frames that can be decoded; damaged ones are left out."""
        with self._opened() as container:
            stream = container.streams.best("video")
            for packet in self._packets(container, stream):
                try:
                    yield from stream.decode(packet)
                except self._errors:
                    self._damaged += 1

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from container.demux(stream)
        except self._errors:
            self._damaged += 1
            yield None  # which asks the decoder for the frames that it still holds


def _turns(frame: Any) -> int:
    """Quarter turns, counterclockwise, that put the frame upright; 0 where its file says nonsense."""
    return round(frame.rotation / 90) if abs(frame.rotation) <= 360 else 0
