"""From a file to its metadata and frames: what is asked of the workers, and what is made of their answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from video_tool.errors import DecodeError, DecodeTimeoutError, NoVideoError, VideoTooLargeError
from video_tool.frames.cache import CACHE, FrameSize, Learnt, Which, identity_of
from video_tool.frames.containers import container_of
from video_tool.frames.header import Header, shortcomings
from video_tool.frames.opened import NotLearntError, OpenVideo, sensible
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
class Decoded:
    """What came out of a file.

    Attributes:
        header: what it says of itself.
        metadata: what the reader found.
        reader: which one read it.
        images: (frames, height, width, 3) RGB bytes; no frames where none were asked for.
        warnings: what the user should know of the file.
        from_cache: whether the images had been decoded for an earlier question.
    """

    header: Header
    metadata: VideoMetadata
    reader: str
    images: NDArray[np.uint8]
    warnings: tuple[str, ...]
    from_cache: bool = False


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
    with _told_of(file.name, settings):
        asked = _Asked(file, settings, choose, frame_size)
        return asked.remembered() or asked.decoded()


class _Asked:
    """What `decode` is asked for."""

    def __init__(
        self,
        file: SourceFile,
        settings: Settings,
        choose: Callable[[OpenVideo], Sequence[int]],
        frame_size: Callable[[], FrameSize | None],
    ) -> None:
        self._file = file
        self._settings = settings
        self._choose = choose
        self._frame_size = frame_size
        self._limits = Limits(settings.max_pixels, settings.max_video_frames)
        self._identity = identity_of(file, settings.plugins) if settings.frame_cache_bytes else None
        self._learnt = CACHE.learnt(self._identity) if self._identity else None

    def remembered(self) -> Decoded | None:
        """What earlier questions have left, held against the ceilings as it was then; None where some is missing."""
        if self._learnt is None or self._identity is None:
            return None
        header, metadata = self._learnt.header, self._learnt.metadata
        _check_header(header, self._limits, self._settings)
        self._limits.check_frames(len(metadata.timestamps))
        self._limits.check_pixels(metadata.width, metadata.height)
        _check_duration(metadata.duration, self._settings)
        try:
            indices = tuple(self._choose(OpenVideo(self._learnt)))
        except NotLearntError:
            return None
        size = self._frame_size()
        shape = _shape(indices, metadata, size, self._settings)
        images = CACHE.frames(self._identity, (self._learnt.reader, indices, size)) if indices else _none(shape)
        if images is None:
            return None
        warnings = tuple(shortcomings(self._file.name, metadata, header))
        return Decoded(header, metadata, self._learnt.reader, images, warnings, from_cache=bool(indices))

    def decoded(self) -> Decoded:
        """What a worker reads."""
        file, settings = self._file, self._settings
        container = container_of(file.path, file.name)
        budget = Budget(settings.decode_timeout)
        doubts: list[str] = []
        number = 0
        while True:
            with POOL.lend(settings.decode_memory, settings.plugins) as worker:
                header, readers = _open(worker, budget, file.path, container, self._limits)
                _check_header(header, self._limits, settings)
                if self._learnt and self._learnt.reader in readers[number:]:  # those before it have failed
                    number = readers.index(self._learnt.reader)
                with sensible(worker):  # another worker, which has to name the same readers
                    reader, is_last = readers[number], number + 1 == len(readers)
                try:
                    with budget.share(1.0 if is_last else _FIRST_READER_SHARE) as share:
                        metadata = _index(worker, share, reader, self._limits, settings)
                        learnt = Learnt(header, reader, metadata)
                        indices = tuple(self._choose(OpenVideo(learnt, (worker, share))))
                        size = self._frame_size()
                        shape = _shape(indices, metadata, size, settings)
                        memory = _frames(worker, share, indices, shape, size) if indices else None
                except (VideoTooLargeError, NoVideoError):
                    raise
                except DecodeError as error:
                    if is_last:
                        raise
                    number += 1
                    if isinstance(error, DecodeTimeoutError):
                        doubts.append(
                            f"{file.name} may be damaged: {reader} took too long, so {readers[number]} read it."
                        )
                    continue
                images = memory.frames() if memory else _none(shape)
                warnings = [*doubts, *shortcomings(file.name, metadata, header)]
                if not warnings and (complaints := worker.complaints()):
                    times = "once" if complaints == 1 else f"{complaints} times"
                    doubts.append(f"{file.name} may be damaged: its decoder reported errors {times}.")
                self._keep(learnt, (reader, indices, size), memory, sound=not doubts)
                return Decoded(header, metadata, reader, images, tuple(warnings or doubts))

    def _keep(self, learnt: Learnt, which: Which, memory: FrameMemory | None, *, sound: bool) -> None:
        """Keeps what was read of a file that is still the same, and of which no more is to be said than its header."""
        most = self._settings.frame_cache_bytes
        if sound and self._identity and self._identity == identity_of(self._file, self._settings.plugins):
            CACHE.learn(self._identity, learnt, most)
            if memory:
                CACHE.keep(self._identity, which, memory, most)
        elif memory:
            memory.close()


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
        with sensible(worker):
            streams: list[StreamInfo] = _adapter(list[StreamInfo]).validate_python(answer["streams"])
    # FFmpeg keeps the size of frames above the ceiling to itself
    size = {"width": header.width or None, "height": header.height or None}
    return container, header, [each.model_copy(update=size) if each.read else each for each in streams]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Checks what a worker says; making one takes longer than opening a video."""
    return TypeAdapter(kind)


def _open(worker: Worker, budget: Budget, path: Path, container: str, limits: Limits) -> tuple[Header, list[str]]:
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


def _index(worker: Worker, budget: Budget, reader: str, limits: Limits, settings: Settings) -> VideoMetadata:
    answer, (told,) = worker.ask({"step": "index", "reader": reader}, budget, follow=(8 * limits.max_frames,))
    with sensible(worker):
        timestamps = tuple(np.frombuffer(told, np.float64).tolist())
        metadata: VideoMetadata = _adapter(VideoMetadata).validate_python(answer | {"timestamps": timestamps})
        rising = all(a <= b for a, b in pairwise(metadata.timestamps))
        if not (rising and metadata.timestamps[:1] == (0.0,) and 0 < metadata.duration < math.inf):
            raise ValueError("no times of a video")
        if min(metadata.width, metadata.height) < 1:
            raise ValueError("no size of a frame")
    limits.check_pixels(metadata.width, metadata.height)
    _check_duration(metadata.duration, settings)
    return metadata


def _shape(
    indices: Sequence[int], metadata: VideoMetadata, size: FrameSize | None, settings: Settings
) -> tuple[int, int, int, int]:
    """Of the frames that are asked for."""
    width, height = (size.width, size.height) if size else (metadata.width, metadata.height)
    taken = len(indices) * height * width * 3
    if taken > settings.decode_memory:
        raise VideoTooLargeError(
            f"{len(indices)} frames of {width}×{height} take {taken} bytes; {settings.decode_memory} are the ceiling",
            hint="Ask for fewer frames, or raise VIDEO_TOOL_DECODE_MEMORY.",
        )
    return len(indices), height, width, 3


def _none(shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    return np.empty(shape, np.uint8)


def _frames(
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
