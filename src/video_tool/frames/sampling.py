"""Which frames to look at: arithmetic on timestamps, no video needed."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from video_tool.errors import QuestionError
from video_tool.question import Sampling
from video_tool.settings import Settings

_SLACK = 5e-4
"""Seconds: no reader knows timestamps better than this (decord counts them in 32 bits), and nobody asks for less."""


@dataclass(frozen=True)
class Selection:
    """The frames chosen, by index, rising and each once; with what the user should know about the choice."""

    indices: tuple[int, ...]
    warnings: tuple[str, ...]


def uniform_indices(total: int, count: int) -> list[int]:
    """`count` indices spread over `total` frames: `i * total // count`; all of them when there are fewer."""
    count = min(count, total)
    return [i * total // count for i in range(count)]


def check_sampling(sampling: Sampling, settings: Settings) -> None:
    """Refuses what makes sense for no video.

    Raises:
        QuestionError: num_frames or fps out of range or both given, or a range that ends before it starts.
    """
    if sampling.num_frames is not None and sampling.fps is not None:
        raise QuestionError("num_frames and fps are both given", hint="Give one of them.")
    if sampling.num_frames is not None and sampling.num_frames < 1:
        raise QuestionError(f"num_frames is {sampling.num_frames}", hint="Ask for 1 frame or more.")
    if sampling.num_frames is not None and sampling.num_frames > settings.max_frames:
        raise QuestionError(
            f"num_frames is {sampling.num_frames}, above the ceiling of {settings.max_frames}",
            hint="Ask for fewer frames, or raise VIDEO_TOOL_MAX_FRAMES.",
        )
    if sampling.fps is not None and not (math.isfinite(sampling.fps) and sampling.fps > 0):
        raise QuestionError(f"fps is {sampling.fps}", hint="Give a number above 0.")
    for name, moment in (("start", sampling.start), ("end", sampling.end)):
        if moment is not None and not (math.isfinite(moment) and moment >= 0):
            raise QuestionError(f"{name} is {moment}", hint="Give seconds from the video's start, 0 or more.")
    if sampling.end is not None and sampling.end <= (sampling.start or 0):
        raise QuestionError(
            f"end ({sampling.end:g} s) is not after start ({sampling.start or 0:g} s)",
            hint="Let the range end after it starts; both are seconds.",
        )


def select(
    timestamps: Sequence[float], duration: float, sampling: Sampling, settings: Settings, name: str
) -> Selection:
    """The frames of one video to look at.

    Args:
        timestamps: seconds at which each frame is shown, rising; at least one.
        duration: seconds until the last frame is over.
        sampling: what was asked for, checked by `check_sampling`.
        settings: the default number of frames, and the ceiling.
        name: how warnings and errors call the video.

    Raises:
        QuestionError: the range lies past the video's end.
    """
    start, end = sampling.start or 0.0, math.inf if sampling.end is None else sampling.end
    if start >= duration:
        raise QuestionError(
            f"{name} is {duration:.2f} s long, and the range starts at {start:g} s",
            hint=f"Let start be below {duration:.2f}.",
        )
    # the frame on show at `start` counts, though it came up before it
    first = max(bisect_right(timestamps, start + _SLACK) - 1, 0)
    total = max(bisect_left(timestamps, end - _SLACK), first + 1) - first
    warnings: list[str] = []
    if sampling.end is not None and sampling.end > duration + 0.5:
        warnings.append(f"{name} ends at {duration:.2f} s, before the asked end of {sampling.end:g} s.")
    if sampling.fps is None:
        wanted = sampling.num_frames or settings.num_frames
        if wanted > total:
            found = "1 frame" if total == 1 else f"{total} frames"
            warnings.append(f"{name} has {found} in range, fewer than the {wanted} asked for.")
        chosen = uniform_indices(total, wanted)
    else:
        stop = min(end, duration)
        wanted = (stop - start) * sampling.fps
        count = math.ceil(min(max(wanted - 1e-6, 1), settings.max_frames + 1))
        if count > settings.max_frames:
            warnings.append(
                f"{sampling.fps:g} frames a second of {name} are above the ceiling: {settings.max_frames} are used."
            )
            moments = [start + i * (stop - start) / settings.max_frames for i in range(settings.max_frames)]
        else:
            moments = [start + i / sampling.fps for i in range(count)]
        shown = (bisect_right(timestamps, moment + _SLACK) - 1 - first for moment in moments)
        chosen = sorted({min(max(index, 0), total - 1) for index in shown})
        if len(chosen) < len(moments):
            warnings.append(
                f"{name} has {len(chosen)} different frames at {sampling.fps:g} a second, not {len(moments)}."
            )
    return Selection(tuple(first + index for index in chosen), tuple(warnings))
