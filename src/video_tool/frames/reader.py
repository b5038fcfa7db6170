"""What a video reader is: the small protocol behind which decoders are exchanged, ours and other people's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError, VideoTooLargeError

_FRAME_SECONDS = 0.04
"""How long a frame lasts of which nothing is known."""


@dataclass(frozen=True)
class VideoFile:
    """A file to read, and what is known of it before a reader opens it.

    Attributes:
        path: where it lies, absolute.
        container: FFmpeg's short name of its container, as its first bytes tell; empty when they tell of none.
        guessed: whether FFmpeg, left to guess, takes it for that container, too: then it may be left to guess.
        first: its first bytes, 64 KiB at the most.
    """

    path: Path
    container: str
    guessed: bool
    first: bytes = field(repr=False)


@dataclass(frozen=True)
class Limits:
    """What a reader keeps to while it looks.

    Attributes:
        max_pixels: of one frame, width times height.
        max_frames: of the whole video.
    """

    max_pixels: int
    max_frames: int

    def check_pixels(self, width: int, height: int) -> None:
        """Refuses frames that are too large.

        Raises:
            VideoTooLargeError: `width` times `height` is above the ceiling.
        """
        if width * height > self.max_pixels:
            raise VideoTooLargeError(
                f"its frames are {width}×{height}, above the ceiling of {self.max_pixels} pixels",
                hint="Give a smaller version of it, or raise VIDEO_TOOL_MAX_PIXELS.",
            )

    def check_frames(self, count: int) -> None:
        """Refuses a video that is too long.

        Raises:
            VideoTooLargeError: `count` is above the ceiling.
        """
        if count > self.max_frames:
            raise VideoTooLargeError(
                f"it has more than {self.max_frames} frames, which is the ceiling",
                hint="Cut out the part that matters, or raise VIDEO_TOOL_MAX_VIDEO_FRAMES.",
            )


@dataclass(frozen=True)
class VideoMetadata:
    """What a reader knows of a video.

    Attributes:
        width: pixels, as shown (after rotation).
        height: pixels, as shown.
        timestamps: seconds at which each frame is shown, rising, the first at 0; `compact` where there may be many.
        duration: seconds until the last frame is over.
        damaged: how many frames it found missing or marred.
    """

    width: int
    height: int
    timestamps: Sequence[float]
    duration: float
    damaged: int = 0


def compact(times: NDArray[np.float64]) -> Sequence[float]:
    """The same numbers, not to be changed, in eight bytes each: as Python's own, those of a film take megabytes."""
    return memoryview(times.tobytes()).cast("d")


def end_of(timestamps: Sequence[float], last: float) -> float:
    """When a video is over whose last frame lasts `last` seconds; 0 where its file does not say: like the others."""
    if last <= 0:
        last = timestamps[-1] / (len(timestamps) - 1) if timestamps[-1] > 0 else _FRAME_SECONDS
    return timestamps[-1] + last


class UnsuitableReaderError(DecodeError):
    """There is nothing wrong with the file, but another reader is to read it."""


class VideoReader(Protocol):
    """Reads one video file, in a process that may be killed.

    Made with a file that it `reads`; raises `DecodeError` for what it can't read, `UnsuitableReaderError` for what it
    had better leave to others, and `VideoTooLargeError` above a limit.
    """

    def __init__(self, file: VideoFile, limits: Limits) -> None: ...

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        """Whether to try it on this file, told without opening it."""
        ...

    def metadata(self) -> VideoMetadata:
        """Size and timestamps of all frames; called once, before all else."""
        ...

    def keyframes(self) -> Sequence[int]:
        """Indices, rising, of the frames that decode without others; empty where it does not know."""
        ...

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """The frames at the rising `indices`, one by one, each as (height, width, 3) RGB bytes."""
        ...
