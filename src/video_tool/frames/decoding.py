"""From a file to its metadata and frames: which worker and which reader, and what the user is told of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError, DecodeTimeoutError, NoVideoError, VideoTooLargeError
from video_tool.frames.cache import CACHE, FrameSize, Identity, Learnt, Which, identity_of
from video_tool.frames.containers import container_of
from video_tool.frames.header import Header, shortcomings
from video_tool.frames.opened import NotLearntError, OpenVideo, sensible
from video_tool.frames.pool import POOL, Budget, Worker
from video_tool.frames.reader import Limits, VideoMetadata
from video_tool.frames.report import StreamInfo
from video_tool.frames.requests import decode_frames, describe_file, index_file, open_file
from video_tool.frames.wire import FrameMemory
from video_tool.settings import Settings
from video_tool.sources import SourceFile

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


class FileDecoder:
    """One file, for as long as it is asked about: a worker has it open all the while, unless others need that one.

    Its methods raise:
        NoVideoError: it holds no video.
        DecodeTimeoutError: it took longer than `settings.decode_timeout`.
        DecodeError: no reader gets out of it what is asked for.

    Args:
        file: what to read.
        settings: the ceilings, the memory and the time.

    Attributes:
        file: what is read.
        container: FFmpeg's name of its container, as its first bytes tell; empty until a worker has opened it.
    """

    def __init__(self, file: SourceFile, settings: Settings) -> None:
        self.file = file
        self._settings = settings
        self._limits = Limits(settings.max_pixels, settings.max_video_frames)
        self.container = ""
        self._open: _OpenFile | None = None
        self._failed = 0
        self._doubts: list[str] = []

    def decode(
        self, choose: Callable[[OpenVideo], Sequence[int]], frame_size: Callable[[], FrameSize | None]
    ) -> Decoded:
        """The chosen frames.

        Args:
            choose: which frames, by index, rising; called again when another reader has to read it.
            frame_size: in which size they are wanted; asked once the file is known to be a video.

        Raises:
            VideoTooLargeError: it is above a ceiling.
        """
        with _told_of(self.file.name, self._settings):
            identity = identity_of(self.file, self._settings.plugins) if self._settings.frame_cache_bytes else None
            learnt = CACHE.learnt(identity) if identity else None
            found = self._remembered(identity, learnt, choose, frame_size) if identity and learnt else None
            return found or self._decoded(identity, learnt, choose, frame_size)

    def streams(self) -> tuple[Header, list[StreamInfo]]:
        """The header and all streams, whatever size and length the video has."""
        budget = Budget(self._settings.decode_timeout)
        with _told_of(self.file.name, self._settings), self._worker() as worker:
            header = self._opened(worker, budget).header
            streams = describe_file(worker, budget)
        # FFmpeg keeps the size of frames above the ceiling to itself
        size = {"width": header.width or None, "height": header.height or None}
        return header, [each.model_copy(update=size) if each.read else each for each in streams]

    def close(self) -> None:
        """Has no worker hold anything of the file any more."""
        POOL.release(self)

    def _worker(self) -> AbstractContextManager[Worker]:
        return POOL.lend(self._settings.decode_memory, self._settings.plugins, self)

    def _remembered(
        self,
        identity: Identity,
        learnt: Learnt,
        choose: Callable[[OpenVideo], Sequence[int]],
        frame_size: Callable[[], FrameSize | None],
    ) -> Decoded | None:
        """What earlier questions have left, held against the ceilings as it was then; None where some is missing."""
        header, metadata = learnt.header, learnt.metadata
        _check_header(header, self._limits, self._settings)
        self._limits.check_frames(len(metadata.timestamps))
        self._limits.check_pixels(metadata.width, metadata.height)
        _check_duration(metadata.duration, self._settings)
        try:
            indices = tuple(choose(OpenVideo(learnt)))
        except NotLearntError:
            return None
        size = frame_size()
        shape = _shape(indices, metadata, size, self._settings)
        images = CACHE.frames(identity, (learnt.reader, indices, size)) if indices else _none(shape)
        if images is None:
            return None
        warnings = tuple(shortcomings(self.file.name, metadata, header))
        return Decoded(header, metadata, learnt.reader, images, warnings, from_cache=bool(indices))

    def _decoded(
        self,
        identity: Identity | None,
        known: Learnt | None,
        choose: Callable[[OpenVideo], Sequence[int]],
        frame_size: Callable[[], FrameSize | None],
    ) -> Decoded:
        """What a worker reads."""
        file, settings = self.file, self._settings
        budget = Budget(settings.decode_timeout)
        while True:
            with self._worker() as worker:
                opened = self._opened(worker, budget)
                header, readers = opened.header, opened.readers
                _check_header(header, self._limits, settings)
                if known and known.reader in readers[self._failed :]:  # those before it have failed
                    self._failed = readers.index(known.reader)
                with sensible(worker):  # another worker, which has to name the same readers
                    reader, is_last = readers[self._failed], self._failed + 1 == len(readers)
                try:
                    with budget.share(1.0 if is_last else _FIRST_READER_SHARE) as share:
                        if opened.learnt is None or opened.learnt.reader != reader:
                            found = index_file(worker, share, reader, self._limits)
                            _check_duration(found.duration, settings)
                            opened.learnt = Learnt(header, reader, found)
                        metadata = opened.learnt.metadata
                        indices = tuple(choose(OpenVideo(opened.learnt, (worker, share))))
                        size = frame_size()
                        shape = _shape(indices, metadata, size, settings)
                        memory = decode_frames(worker, share, indices, shape, size) if indices else None
                except (VideoTooLargeError, NoVideoError):
                    raise
                except DecodeError as error:
                    if is_last:
                        raise
                    self._failed += 1
                    worker.holder = None
                    if isinstance(error, DecodeTimeoutError):
                        self._doubts.append(
                            f"{file.name} may be damaged: {reader} took too long, so {readers[self._failed]} read it."
                        )
                    continue
                images = memory.frames() if memory else _none(shape)
                opened.complaints += worker.complaints()
                doubts = list(self._doubts)
                warnings = [*doubts, *shortcomings(file.name, metadata, header)]
                if not warnings and opened.complaints:
                    times = "once" if opened.complaints == 1 else f"{opened.complaints} times"
                    doubts.append(f"{file.name} may be damaged: its decoder reported errors {times}.")
                if identity and not doubts and identity == identity_of(file, settings.plugins):
                    self._keep(identity, opened.learnt, (reader, indices, size), memory)
                elif memory:
                    memory.close()
                return Decoded(header, metadata, reader, images, tuple(warnings or doubts))

    def _opened(self, worker: Worker, budget: Budget) -> _OpenFile:
        """What the worker has of the file, which it opens unless it has done so for this one already."""
        status = self.file.path.stat()
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._open is not None and self._open.stamp != stamp:
            self._open, self._failed, self._doubts = None, 0, []
        if worker.holder is not self or self._open is None:
            worker.holder = None
            self.container = container_of(self.file.path, self.file.name)
            header, readers = open_file(worker, budget, self.file.path, self.container, self._limits)
            self._open = _OpenFile(header, readers, stamp)
            worker.holder = self
        return self._open

    def _keep(self, identity: Identity, learnt: Learnt, which: Which, memory: FrameMemory | None) -> None:
        """Keeps what was read of a file that is still the same, and of which no more is to be said than its header."""
        most = self._settings.frame_cache_bytes
        CACHE.learn(identity, learnt, most)
        if memory:
            CACHE.keep(identity, which, memory, most)


@dataclass
class _OpenFile:
    """What a worker has told of the file that it has open.

    Attributes:
        header: what the file says of itself.
        readers: the names of those to try on it.
        stamp: by which the file is seen to be another.
        learnt: what the reader found that has it open; None while none has.
        complaints: how many errors FFmpeg has reported.
    """

    header: Header
    readers: list[str]
    stamp: tuple[int, ...]
    learnt: Learnt | None = None
    complaints: int = 0


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
