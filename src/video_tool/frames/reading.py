"""From a video, however given, to the frames that a question looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from video_tool.answer import VideoInfo
from video_tool.frames.cache import FrameSize
from video_tool.frames.decoding import Decoded, FileDecoder
from video_tool.frames.opened import OpenVideo
from video_tool.frames.sampled import Frames
from video_tool.frames.sampling import Selection, Timeline, check_sampling, select
from video_tool.frames.sequences import refuse_bare_frames, take_frames
from video_tool.progress import OnProgress, Progress, ignore_progress
from video_tool.question import FrameSequence, Sampling, VideoInput
from video_tool.settings import Settings
from video_tool.sources import SourceFile, open_source


def full_size() -> FrameSize | None:
    """Leaves frames as they are."""


@dataclass(frozen=True)
class FetchedVideo:
    """A video that has been fetched, or needed no fetching, and waits to be read; made by `fetch_video`.

    Its methods raise as `read_video` does, short of a `SourceError`.
    """

    source: FileDecoder | FrameSequence
    settings: Settings
    on_progress: OnProgress
    fetch_seconds: float
    _taken: dict[Sampling, Frames] = field(default_factory=dict[Sampling, Frames])

    def measure(self, sampling: Sampling) -> Frames:
        """What `read` would give, in black: the same frames and timestamps, of a size in pixels, and none decoded.

        How many scenes there are is not known before all is decoded, and a plugin's strategy may ask for them: they
        count as `uniform`.
        """
        if isinstance(self.source, FrameSequence):
            return self._take(self.source, sampling)
        if sampling.strategy not in ("uniform", "keyframes"):
            sampling = sampling.model_copy(update={"strategy": "uniform"})
        file = self.source.file
        selections: list[Selection] = []

        def choose(video: OpenVideo) -> Sequence[int]:
            selections.append(self._select(file, video, sampling))
            return ()

        decoded = self.source.decode(choose, full_size)
        metadata = decoded.metadata
        shape = (len(selections[-1].indices), metadata.height, metadata.width, 3)
        return _frames(file, replace(decoded, images=np.broadcast_to(np.uint8(0), shape)), selections[-1])

    def read(self, sampling: Sampling, frame_size: Callable[[], FrameSize | None] = full_size) -> Frames:
        """The sampled frames.

        Args:
            sampling: which frames.
            frame_size: in which size the frames of a file are wanted; asked once it is known to be a video.
        """
        if isinstance(self.source, FrameSequence):
            return self._take(self.source, sampling)
        began = time.perf_counter()
        file = self.source.file
        self.on_progress(Progress("decode", file.name, 0, None, "frames"))
        selections: list[Selection] = []

        def choose(video: OpenVideo) -> Sequence[int]:
            selections.append(self._select(file, video, sampling))
            return selections[-1].indices

        decoded = self.source.decode(choose, frame_size)
        taken = len(decoded.images)
        self.on_progress(Progress("decode", file.name, taken, taken, "frames"))
        frames = _frames(file, decoded, selections[-1])
        return replace(frames, fetch_seconds=self.fetch_seconds, decode_seconds=time.perf_counter() - began)

    def _take(self, given: FrameSequence, sampling: Sampling) -> Frames:
        """Once: file objects can't be read again."""
        if sampling not in self._taken:
            self._taken[sampling] = take_frames(given, sampling, self.settings)
        return self._taken[sampling]

    def _select(self, file: SourceFile, video: OpenVideo, sampling: Sampling) -> Selection:
        metadata = video.metadata
        timeline = Timeline(file.name, metadata.timestamps, metadata.duration, video.keyframes, video.cuts)
        return select(timeline, sampling, self.settings)


@contextmanager
def fetch_video(
    video: VideoInput, settings: Settings, on_progress: OnProgress = ignore_progress
) -> Generator[FetchedVideo]:
    """Has a video where it can be read for the length of a with-block.

    Raises:
        SourceError: the video can't be had.
        QuestionError: it is bare frames, or nothing that a video could be.
    """
    if isinstance(video, FrameSequence):
        yield FetchedVideo(video, settings, on_progress, 0.0)
        return
    refuse_bare_frames(video)
    asked = time.perf_counter()
    with open_source(video, settings, on_progress) as file:
        decoder = FileDecoder(file, settings)
        try:
            yield FetchedVideo(decoder, settings, on_progress, time.perf_counter() - asked)
        finally:
            decoder.close()


def read_video(
    video: VideoInput,
    sampling: Sampling,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
    frame_size: Callable[[], FrameSize | None] = full_size,
) -> Frames:
    """The sampled frames of a video, however it is given.

    Args:
        video: what to read.
        sampling: which frames.
        settings: ceilings and defaults.
        on_progress: told about the download, and about the frames.
        frame_size: in which size the frames of a file are wanted; asked once it is known to be a video.

    Raises:
        QuestionError: the sampling makes no sense, or not for this video.
        SourceError: the video can't be had.
        NoVideoError: it holds no video.
        VideoTooLargeError: it is above a ceiling of the settings.
        DecodeTimeoutError: reading took longer than `settings.decode_timeout` seconds.
        DecodeError: no reader gets the frames out of it.
    """
    check_sampling(sampling, settings)
    with fetch_video(video, settings, on_progress) as fetched:
        return fetched.read(sampling, frame_size)


def _frames(file: SourceFile, decoded: Decoded, selection: Selection) -> Frames:
    return Frames(
        decoded.images,
        selection.indices,
        tuple(decoded.metadata.timestamps[index] for index in selection.indices),
        video_info(file, decoded),
        (*file.warnings, *decoded.warnings, *selection.warnings),
    )


def video_info(file: SourceFile, decoded: Decoded) -> VideoInfo:
    """What an answer says of a file that was read."""
    metadata = decoded.metadata
    return VideoInfo(
        name=file.name,
        width=metadata.width,
        height=metadata.height,
        duration=metadata.duration,
        fps=len(metadata.timestamps) / metadata.duration,
        total_frames=len(metadata.timestamps),
        codec=decoded.header.codec,
        reader=decoded.reader,
        from_cache=file.from_cache,
        frames_from_cache=decoded.from_cache,
    )
