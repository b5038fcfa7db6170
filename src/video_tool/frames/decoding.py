"""From a file to its metadata and frames: what is asked of the workers, and what is made of their answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from video_tool.errors import DecodeError, DecodeTimeoutError, NoVideoError, VideoTooLargeError
from video_tool.frames.containers import container_of
from video_tool.frames.header import Header, shortcomings
from video_tool.frames.pool import POOL, Budget, Worker
from video_tool.frames.reader import Limits, VideoMetadata
from video_tool.frames.report import StreamInfo
from video_tool.frames.wire import FrameMemory
from video_tool.plugins import warn_once
from video_tool.settings import Settings
from video_tool.sources import SourceFile
from video_tool.sources.naming import one_line

_FIRST_READER_SHARE = 1 / 3
"""Of the time to decode: when a reader hangs, enough is left for the next."""


@dataclass(frozen=True)
class FrameSize:
    """The size in which frames are wanted.

    Attributes:
        width: pixels.
        height: pixels.
        resample: the filter, as Pillow numbers them (`PIL.Image.Resampling`).
    """

    width: int
    height: int
    resample: int


@dataclass(frozen=True)
class OpenVideo:
    """A video that a worker has open, to choose frames of.

    Attributes:
        metadata: what its reader found.
    """

    metadata: VideoMetadata
    _worker: Worker = field(repr=False)
    _budget: Budget = field(repr=False)

    def keyframes(self) -> list[int]:
        """The indices of the frames that decode without others; empty where they are not known.

        Raises:
            DecodeError: the worker fails, or takes too long.
        """
        return self._indices({"step": "keys"}, 0, len(self.metadata.timestamps))

    def cuts(self, first: int, stop: int) -> list[int]:
        """The indices of the frames, after `first` and before `stop`, with which a new scene begins.

        All frames of that range are decoded for it. Raises as `keyframes` does.
        """
        return self._indices({"step": "cuts", "first": first, "stop": stop}, first + 1, stop)

    def _indices(self, request: dict[str, Any], first: int, stop: int) -> list[int]:
        _, (told,) = self._worker.ask(request, self._budget, follow=(4 * max(stop - first, 0),))
        with _sensible(self._worker):
            indices: list[int] = np.frombuffer(told, np.uint32).tolist()
            if not all(a < b for a, b in pairwise([first - 1, *indices, stop])):
                raise ValueError("no indices of this video")
        return indices


@dataclass(frozen=True)
class Decoded:
    """What came out of a file.

    Attributes:
        header: what it says of itself.
        metadata: what the reader found.
        reader: which one read it.
        images: (frames, height, width, 3) RGB bytes; no frames where none were asked for.
        warnings: what the user should know of the file.
    """

    header: Header
    metadata: VideoMetadata
    reader: str
    images: NDArray[np.uint8]
    warnings: tuple[str, ...]


def decode(
    file: SourceFile,
    settings: Settings,
    choose: Callable[[OpenVideo], Sequence[int]],
    frame_size: Callable[[], FrameSize | None],
) -> Decoded:
    """The chosen frames of a file.

    Args:
        file: what to read.
        settings: the ceilings, the memory and the time.
        choose: which frames, by index, rising; called again when another reader has to read it.
        frame_size: in which size they are wanted; asked once the file is known to be a video.

    Raises:
        NoVideoError: it holds no video.
        VideoTooLargeError: it is above a ceiling.
        DecodeTimeoutError: it took longer than `settings.decode_timeout`.
        DecodeError: no reader gets the frames out of it.
    """
    container = container_of(file.path, file.name)
    limits = Limits(settings.max_pixels, settings.max_video_frames)
    budget = Budget(settings.decode_timeout)
    slow: list[str] = []
    with _told_of(file.name, settings):
        for number in count():
            with POOL.lend(settings.decode_memory, settings.plugins) as worker:
                header, readers = _open(worker, budget, file.path, container, limits)
                _check_header(header, limits, settings)
                with _sensible(worker):  # another worker, which has to name the same readers
                    reader, is_last = readers[number], number + 1 == len(readers)
                try:
                    with budget.share(1.0 if is_last else _FIRST_READER_SHARE) as share:
                        metadata = _index(worker, share, reader, limits, settings)
                        indices = choose(OpenVideo(metadata, worker, share))
                        images = _frames(worker, share, metadata, indices, frame_size(), settings)
                except (VideoTooLargeError, NoVideoError):
                    raise
                except DecodeError as error:
                    if is_last:
                        raise
                    if isinstance(error, DecodeTimeoutError):
                        slow.append(
                            f"{file.name} may be damaged: {reader} took too long, so {readers[number + 1]} read it."
                        )
                    continue
                warnings = [*slow, *shortcomings(file.name, metadata, header)]
                if not warnings and (complaints := worker.complaints()):
                    times = "once" if complaints == 1 else f"{complaints} times"
                    warnings.append(f"{file.name} may be damaged: its decoder reported errors {times}.")
                return Decoded(header, metadata, reader, images, tuple(warnings))
    raise AssertionError("a reader reads or fails")


def read_streams(file: SourceFile, settings: Settings) -> tuple[str, Header, list[StreamInfo]]:
    """The container, as FFmpeg names it, the header, and all streams of a file, whatever its size and length.

    Raises:
        NoVideoError: it holds no video.
        DecodeTimeoutError: it took longer than `settings.decode_timeout`.
        DecodeError: what it says makes no sense.
    """
    container = container_of(file.path, file.name)
    limits = Limits(settings.max_pixels, settings.max_video_frames)
    budget = Budget(settings.decode_timeout)
    with _told_of(file.name, settings), POOL.lend(settings.decode_memory, settings.plugins) as worker:
        header, _ = _open(worker, budget, file.path, container, limits)
        answer, _ = worker.ask({"step": "streams"}, budget)
        with _sensible(worker):
            streams = TypeAdapter(list[StreamInfo]).validate_python(answer["streams"])
    # FFmpeg keeps the size of frames above the ceiling to itself
    size = {"width": header.width or None, "height": header.height or None}
    return container, header, [each.model_copy(update=size) if each.read else each for each in streams]


def _open(worker: Worker, budget: Budget, path: Path, container: str, limits: Limits) -> tuple[Header, list[str]]:
    request = {"step": "open", "path": str(path), "container": container, **asdict(limits)}
    answer, _ = worker.ask(request, budget)
    with _sensible(worker):
        header = TypeAdapter(Header).validate_python(answer["header"])
        readers = TypeAdapter(list[str]).validate_python(answer["readers"])
        broken = TypeAdapter(list[str]).validate_python(answer["broken"])
    for complaint in broken:
        warn_once(one_line(complaint))
    if not readers:
        raise NoVideoError("it is no video file: its first bytes are those of no container that can be read")
    return header, readers


def _index(worker: Worker, budget: Budget, reader: str, limits: Limits, settings: Settings) -> VideoMetadata:
    answer, (told,) = worker.ask({"step": "index", "reader": reader}, budget, follow=(8 * limits.max_frames,))
    with _sensible(worker):
        timestamps = tuple(np.frombuffer(told, np.float64).tolist())
        metadata = TypeAdapter(VideoMetadata).validate_python(answer | {"timestamps": timestamps})
        rising = all(a <= b for a, b in pairwise(metadata.timestamps))
        if not (rising and metadata.timestamps[:1] == (0.0,) and 0 < metadata.duration < math.inf):
            raise ValueError("no times of a video")
        if min(metadata.width, metadata.height) < 1:
            raise ValueError("no size of a frame")
    limits.check_pixels(metadata.width, metadata.height)
    _check_duration(metadata.duration, settings)
    return metadata


def _frames(
    worker: Worker,
    budget: Budget,
    metadata: VideoMetadata,
    indices: Sequence[int],
    size: FrameSize | None,
    settings: Settings,
) -> NDArray[np.uint8]:
    width, height = (size.width, size.height) if size else (metadata.width, metadata.height)
    if not indices:
        return np.empty((0, height, width, 3), np.uint8)
    taken = len(indices) * height * width * 3
    if taken > settings.decode_memory:
        raise VideoTooLargeError(
            f"{len(indices)} frames of {width}×{height} take {taken} bytes; {settings.decode_memory} are the ceiling",
            hint="Ask for fewer frames, or raise VIDEO_TOOL_DECODE_MEMORY.",
        )
    request = {"step": "frames", "indices": list(indices), "size": [width, height]}
    with closing(FrameMemory((len(indices), height, width, 3))) as memory:
        worker.ask(request | {"resample": size.resample if size else None}, budget, memory=memory)
        return memory.frames()


@contextmanager
def _sensible(worker: Worker) -> Generator[None]:
    """Takes what the block makes of an answer for nonsense when it fails."""
    try:
        yield
    except (ValueError, TypeError, LookupError) as error:
        worker.usable = False
        raise DecodeError("decoding it gave nonsense") from error


def _check_header(header: Header, limits: Limits, settings: Settings) -> None:
    limits.check_pixels(header.width, header.height)
    limits.check_frames(header.frames)
    _check_duration(header.duration, settings)


def _check_duration(seconds: float, settings: Settings) -> None:
    if seconds > settings.max_video_seconds:
        raise VideoTooLargeError(
            f"it lasts {seconds:.0f} s, above the ceiling of {settings.max_video_seconds:g} s",
            hint="Cut out the part that matters, or raise VIDEO_TOOL_MAX_VIDEO_SECONDS.",
        )


@contextmanager
def _told_of(name: str, settings: Settings) -> Generator[None]:
    """Has errors name the video and say what to do."""
    try:
        yield
    except DecodeTimeoutError as error:
        raise DecodeTimeoutError(
            f"reading {name} took longer than {settings.decode_timeout:g} s",
            hint="Ask about a shorter range, or raise VIDEO_TOOL_DECODE_TIMEOUT.",
        ) from error
    except DecodeError as error:
        hint = "The file is damaged, encrypted or cut off: try another copy."
        if isinstance(error, NoVideoError):
            hint = "Give a file that holds a video."
        raise type(error)(f"{name}: {error.message}", hint=error.hint or hint) from error
