"""All videos and images of one question, fetched and read; several files are decoded at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from video_tool.cancellation import CancelScope
from video_tool.errors import VideoToolError
from video_tool.frames.cache import FrameSize
from video_tool.frames.decoding import FileDecoder
from video_tool.frames.images import read_image
from video_tool.frames.reading import FetchedVideo, fetch_video
from video_tool.frames.sampled import Frames
from video_tool.progress import OnProgress, Progress, ignore_progress
from video_tool.question import ImageInput, Sampling, VideoInput
from video_tool.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Media:
    """The videos as their sampled frames, and the images, in the order given.

    Attributes:
        videos: each with warnings of its own.
        images: RGB, upright.
        warnings: what the user should know about the images.
    """

    videos: tuple[Frames, ...] = ()
    images: tuple[Image, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: Media) -> Media:
        return Media((*self.videos, *other.videos), (*self.images, *other.images), (*self.warnings, *other.warnings))

    def kept(self) -> Media:
        """The same for a later turn, which no longer spends time on getting it."""
        return replace(self, videos=tuple(video.kept() for video in self.videos))


@dataclass(frozen=True)
class FetchedMedia:
    """Videos that have been fetched and wait to be read, and images; made by `fetch_media`."""

    videos: tuple[FetchedVideo, ...]
    images: tuple[Image, ...]
    warnings: tuple[str, ...]

    def measure(self, samplings: Sequence[Sampling]) -> Media:
        """What `read` would give, with black frames: none is decoded. Raises as `read` does."""
        return self._media(samplings, FetchedVideo.measure)

    def read(self, samplings: Sequence[Sampling], frame_size: Callable[[], FrameSize | None]) -> Media:
        """The videos' frames, and the images.

        Args:
            samplings: which frames, for each video.
            frame_size: in which size the model wants frames; asked once a file is known to be a video.

        Raises:
            QuestionError: the sampling makes no sense, or not for one of the videos.
            DecodeError: no frames come out of one.
        """
        return self._media(samplings, lambda video, sampling: video.read(sampling, frame_size))

    def _media(self, samplings: Sequence[Sampling], take: Callable[[FetchedVideo, Sampling], Frames]) -> Media:
        files = [isinstance(video.source, FileDecoder) for video in self.videos]
        if sum(files) < 2:
            return self._collected([partial(take, *each) for each in zip(self.videos, samplings, strict=True)])
        with CancelScope() as scope, ThreadPoolExecutor(sum(files), "decode") as threads:
            # frames that are images already may come from anywhere: they are asked for here
            ways = [
                threads.submit(copy_context().run, take, video, sampling).result
                if is_file
                else partial(take, video, sampling)
                for video, sampling, is_file in zip(self.videos, samplings, files, strict=True)
            ]
            try:
                return self._collected(ways)
            except BaseException:
                scope.cancel()  # the others' frames are of no use any more
                raise

    def _collected(self, ways: Sequence[Callable[[], Frames]]) -> Media:
        videos: list[Frames] = []
        for number, way in enumerate(ways, start=1):
            with _about(f"video {number}"):
                videos.append(way())
        return Media(tuple(videos), self.images, self.warnings)


@contextmanager
def fetch_media(
    videos: Sequence[VideoInput],
    images: Sequence[ImageInput],
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
) -> Generator[FetchedMedia]:
    """Has videos where they can be read for the length of a with-block, and reads images.

    Args:
        videos: however they are given.
        images: however they are given.
        settings: ceilings and defaults.
        on_progress: told about downloads and frames.

    Raises:
        QuestionError: one of them is nothing that a video or image could be.
        SourceError: a video or image can't be had.
        DecodeError: one of the images can't be read.
    """
    on_progress = _one_at_a_time(on_progress)
    warnings: list[str] = []
    fetched: list[FetchedVideo] = []
    pictures: list[Image] = []
    with ExitStack() as stack:
        for number, video in enumerate(videos, start=1):
            with _about(f"video {number}"):
                fetched.append(stack.enter_context(fetch_video(video, settings, on_progress)))
        for number, image in enumerate(images, start=1):
            with _about(f"image {number}"):
                pictures.append(read_image(image, settings, on_progress, warnings.append))
        yield FetchedMedia(tuple(fetched), tuple(pictures), tuple(warnings))


def _one_at_a_time(on_progress: OnProgress) -> OnProgress:
    """The same for several threads."""
    lock = threading.Lock()

    def tell(news: Progress) -> None:
        with lock:
            on_progress(news)

    return tell


@contextmanager
def _about(subject: str) -> Generator[None]:
    """Has errors say which of several videos and images they are about."""
    try:
        yield
    except VideoToolError as error:
        error.about = subject
        raise
