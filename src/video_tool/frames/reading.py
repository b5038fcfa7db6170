"""From a video, however given, to the frames that a question looks at."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from video_tool.answer import VideoInfo
from video_tool.errors import QuestionError
from video_tool.frames.decoding import Decoded, FrameSize, OpenVideo, decode
from video_tool.frames.images import read_image
from video_tool.frames.sampling import Selection, Timeline, check_sampling, select
from video_tool.frames.scenes import find_cuts
from video_tool.progress import OnProgress, Progress, ignore_progress
from video_tool.question import FrameSequence, Sampling, VideoInput
from video_tool.settings import Settings
from video_tool.sources import SourceFile, open_source


@dataclass(frozen=True)
class Frames:
    """The frames of one video that a question looks at.

    Attributes:
        images: (frames, height, width, 3) RGB bytes.
        indices: the frames' numbers in the video, rising.
        timestamps: seconds at which they are shown.
        info: the video that they are from.
        warnings: what the user should know about the choice.
        fetch_seconds: how long it took to get the file.
        decode_seconds: how long it took to read the frames.
    """

    images: NDArray[np.uint8] = field(repr=False)
    indices: tuple[int, ...]
    timestamps: tuple[float, ...]
    info: VideoInfo
    warnings: tuple[str, ...] = ()
    fetch_seconds: float = 0.0
    decode_seconds: float = 0.0

    def kept(self) -> Self:
        """The same for a later turn, which no longer spends time on getting it."""
        return replace(self, fetch_seconds=0.0, decode_seconds=0.0)


def full_size() -> FrameSize | None:
    """Leaves frames as they are."""


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
    if isinstance(video, FrameSequence):
        return take_frames(video, sampling, settings)
    refuse_bare_frames(video)
    asked = time.perf_counter()
    with open_source(video, settings, on_progress) as file:
        fetched = time.perf_counter()
        frames = _read_file(file, sampling, settings, on_progress, frame_size)
    return replace(frames, fetch_seconds=fetched - asked, decode_seconds=time.perf_counter() - fetched)


def _read_file(
    file: SourceFile,
    sampling: Sampling,
    settings: Settings,
    on_progress: OnProgress,
    frame_size: Callable[[], FrameSize | None],
) -> Frames:
    on_progress(Progress("decode", file.name, 0, None, "frames"))
    selection = Selection((), ())

    def choose(video: OpenVideo) -> Sequence[int]:
        nonlocal selection
        metadata = video.metadata
        timeline = Timeline(file.name, metadata.timestamps, metadata.duration, video.keyframes, video.cuts)
        selection = select(timeline, sampling, settings)
        return selection.indices

    decoded = decode(file, settings, choose, frame_size)
    taken = len(decoded.images)
    on_progress(Progress("decode", file.name, taken, taken, "frames"))
    return Frames(
        decoded.images,
        selection.indices,
        tuple(decoded.metadata.timestamps[index] for index in selection.indices),
        video_info(file, decoded),
        (*file.warnings, *decoded.warnings, *selection.warnings),
    )


def take_frames(given: FrameSequence, sampling: Sampling, settings: Settings) -> Frames:
    """The sampled ones of frames that are images already."""
    total = len(given.frames)
    if not total:
        raise QuestionError(f"{given.name} holds no frames", hint="Give at least one frame.")
    timestamps, duration = _timestamps(given, total)

    def pixels(index: int) -> NDArray[np.uint8]:
        return np.asarray(read_image(given.frames[index], settings))

    def cuts(first: int, stop: int) -> list[int]:
        return [first + number for number in find_cuts(map(pixels, range(first, stop)))]

    timeline = Timeline(given.name, timestamps, duration, keyframes=lambda: range(total), cuts=cuts)
    selection = select(timeline, sampling, settings)
    arrays = [pixels(index) for index in selection.indices]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise QuestionError(
            f"the frames of {given.name} are {', '.join(sorted(map(str, shapes)))}",
            hint="Give frames of one size: (height, width, 3).",
        )
    height, width = arrays[0].shape[:2]
    info = VideoInfo(
        name=given.name,
        width=width,
        height=height,
        duration=duration,
        fps=total / duration,
        total_frames=total,
        codec="",
        reader="given",
    )
    return Frames(
        np.stack(arrays), selection.indices, tuple(timestamps[i] for i in selection.indices), info, selection.warnings
    )


def refuse_bare_frames(video: object) -> None:
    """Raises a `QuestionError` for frames that no `FrameSequence` holds."""
    if isinstance(video, list | tuple) or hasattr(video, "__array_interface__"):
        raise QuestionError(
            "decoded frames say nothing of their time", hint="Wrap them: FrameSequence(frames, fps=…) or timestamps=…."
        )


def _timestamps(given: FrameSequence, count: int) -> tuple[list[float], float]:
    if given.timestamps is not None:
        times = [float(t) for t in given.timestamps]
        rising = all(a < b for a, b in pairwise(times))
        if len(times) != count or not rising or not (times[0] >= 0 and math.isfinite(times[-1])):
            raise QuestionError(
                f"{given.name} has {len(times)} timestamps for {count} frames, or they do not rise",
                hint="Give one rising timestamp in seconds for each frame.",
            )
        return times, times[-1] + (times[-1] - times[0]) / max(count - 1, 1) if count > 1 else times[-1] + 1.0
    if given.fps is None or not (math.isfinite(given.fps) and given.fps > 0):
        raise QuestionError(f"{given.name} has no timestamps", hint="Give timestamps in seconds, or fps above 0.")
    return [i / given.fps for i in range(count)], count / given.fps


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
    )
