"""Videos that consist of images already."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from video_tool.answer import VideoInfo
from video_tool.errors import QuestionError
from video_tool.frames.images import read_image
from video_tool.frames.sampled import Frames
from video_tool.frames.sampling import Timeline, select
from video_tool.frames.scenes import find_cuts
from video_tool.question import FrameSequence, Sampling
from video_tool.settings import Settings


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
