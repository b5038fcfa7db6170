"""All videos and images of one question, fetched and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from video_tool.frames.decoding import FrameSize
from video_tool.frames.images import read_image
from video_tool.frames.reading import Frames, read_video
from video_tool.progress import OnProgress
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

    @classmethod
    def read(
        cls,
        videos: Sequence[VideoInput],
        images: Sequence[ImageInput],
        sampling: Sampling,
        settings: Settings,
        on_progress: OnProgress,
        frame_size: Callable[[], FrameSize | None],
    ) -> Self:
        """Fetches and reads what a question is about.

        Args:
            videos: however they are given.
            images: however they are given.
            sampling: which frames of each video.
            settings: ceilings and defaults.
            on_progress: told about downloads and frames.
            frame_size: in which size the model wants frames; asked once a file is known to be a video.

        Raises:
            QuestionError: the sampling makes no sense, or not for one of the videos.
            SourceError: a video or image can't be had.
            DecodeError: no frames come out of one.
        """
        warnings: list[str] = []
        return cls(
            tuple(read_video(video, sampling, settings, on_progress, frame_size) for video in videos),
            tuple(read_image(image, settings, on_progress, warnings.append) for image in images),
            tuple(warnings),
        )
