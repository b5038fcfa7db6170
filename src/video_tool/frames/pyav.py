"""Reading with PyAV: slower to seek, but it reads what decord does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError, NoVideoError
from video_tool.frames.reader import VideoMetadata


class PyAVReader:
    """See `VideoReader`. Decodes from the start: what it is handed, others could not index."""

    name = "pyav"

    def __init__(self, path: Path) -> None:
        import av

        self._path = path
        self._errors: tuple[type[Exception], ...] = (av.FFmpegError, ValueError, EOFError)
        try:
            with av.open(str(path)) as container:
                found = container.streams.best("video") is not None
        except self._errors as error:
            raise NoVideoError(f"it is no video file: {str(error)[:200]}") from error
        if not found:
            raise NoVideoError("it holds no video stream")

    def metadata(self) -> VideoMetadata:
        times: list[float] = []
        width = height = 0
        codec, length = "", 0.0
        for frame in self._decoded():
            if not times:
                width, height = _upright(frame.width, frame.height, frame.rotation)
            times.append(float(frame.time) if frame.time is not None else (times[-1] + 0.04 if times else 0.0))
            length = float(frame.duration * frame.time_base) if frame.duration else length
        with self._opened() as container:
            codec = container.streams.best("video").codec_context.name
        if not times:
            raise DecodeError("no frame of it can be decoded")
        shown = np.maximum.accumulate(np.asarray(times) - times[0])
        if not length:
            length = float(shown[-1] / (len(shown) - 1)) if len(shown) > 1 else 0.04
        duration = float(shown[-1]) + length
        return VideoMetadata(width, height, len(shown) / duration, tuple(float(t) for t in shown), duration, codec)

    def frames(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        wanted, kept = set(indices), list[NDArray[np.uint8]]()
        for number, frame in enumerate(self._decoded()):
            if number in wanted:
                turned = np.rot90(frame.to_ndarray(format="rgb24"), k=frame.rotation // 90)
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
            for packet in self._packets(container, container.streams.best("video")):
                try:
                    yield from packet.decode()
                except self._errors:
                    continue

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from container.demux(stream)
        except self._errors:
            return


def _upright(width: int, height: int, rotation: int) -> tuple[int, int]:
    return (height, width) if rotation % 180 else (width, height)
