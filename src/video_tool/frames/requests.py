"""What is asked of a worker about a file, and its answers, none of which is trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from video_tool.errors import NoVideoError
from video_tool.frames.cache import FrameSize
from video_tool.frames.header import Header
from video_tool.frames.opened import sensible
from video_tool.frames.pool import Budget, Worker
from video_tool.frames.reader import Limits, VideoMetadata, compact
from video_tool.frames.report import StreamInfo
from video_tool.frames.wire import FrameMemory
from video_tool.plugins import warn_once
from video_tool.sources.naming import one_line


def open_file(worker: Worker, budget: Budget, path: Path, container: str, limits: Limits) -> tuple[Header, list[str]]:
    """The header of a file, which the worker has open from now on, and the names of the readers to try on it."""
    request = {"step": "open", "path": str(path), "container": container, **asdict(limits)}
    answer, _ = worker.ask(request, budget)
    with sensible(worker):
        header: Header = _adapter(Header).validate_python(answer["header"])
        readers: list[str] = _adapter(list[str]).validate_python(answer["readers"])
        broken: list[str] = _adapter(list[str]).validate_python(answer["broken"])
    for complaint in broken:
        warn_once(one_line(complaint))
    if not readers:
        raise NoVideoError("it is no video file: its first bytes are those of no container that can be read")
    return header, readers


def describe_file(worker: Worker, budget: Budget) -> list[StreamInfo]:
    """What FFmpeg finds in the open file, stream by stream."""
    answer, _ = worker.ask({"step": "streams"}, budget)
    with sensible(worker):
        streams: list[StreamInfo] = _adapter(list[StreamInfo]).validate_python(answer["streams"])
    return streams


@dataclass(frozen=True)
class _Told:
    """What a worker says of a video, but for its timestamps."""

    width: int
    height: int
    duration: float
    damaged: int


def index_file(worker: Worker, budget: Budget, reader: str, limits: Limits) -> VideoMetadata:
    """What a reader finds in the open file, which it reads from now on."""
    answer, (told,) = worker.ask({"step": "index", "reader": reader}, budget, follow=(8 * limits.max_frames,))
    with sensible(worker):
        times = np.frombuffer(told, np.float64)
        said: _Told = _adapter(_Told).validate_python(answer)
        metadata = VideoMetadata(said.width, said.height, compact(times), said.duration, said.damaged)
        if not (times[0] == 0 and bool(np.all(np.diff(times) >= 0)) and 0 < metadata.duration < math.inf):
            raise ValueError("no times of a video")
        if min(metadata.width, metadata.height) < 1:
            raise ValueError("no size of a frame")
    limits.check_pixels(metadata.width, metadata.height)
    return metadata


def decode_frames(
    worker: Worker, budget: Budget, indices: Sequence[int], shape: tuple[int, int, int, int], size: FrameSize | None
) -> FrameMemory:
    """What the worker writes the frames to; the caller closes it."""
    request = {"step": "frames", "indices": list(indices), "size": [shape[2], shape[1]]}
    memory = FrameMemory(shape)
    try:
        worker.ask(request | {"resample": size.resample if size else None}, budget, memory=memory)
        with sensible(worker):
            memory.seal()
    except BaseException:
        memory.close()
        raise
    return memory


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Checks what a worker says; making one takes longer than opening a video."""
    return TypeAdapter(kind)
