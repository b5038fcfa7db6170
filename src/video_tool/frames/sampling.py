"""Which frames to look at: arithmetic on timestamps, keyframes and cuts, no video needed."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from video_tool.errors import QuestionError
from video_tool.frames.samplers import check_strategy, indices_by
from video_tool.question import STRATEGIES, Sampling
from video_tool.settings import Settings

_SLACK = 5e-4
"""Seconds: no reader knows timestamps better than this (decord counts them in 32 bits), and nobody asks for less."""


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown, and how it is divided.

    Attributes:
        name: how warnings and errors call the video.
        timestamps: seconds at which each frame is shown, rising; at least one.
        duration: seconds until the last frame is over.
        keyframes: tells the indices, rising, of frames that decode without others; asked only where it matters.
        cuts: tells the indices, rising, with which new scenes begin between a first index and a stop.
    """

    name: str
    timestamps: Sequence[float]
    duration: float
    keyframes: Callable[[], Sequence[int]]
    cuts: Callable[[int, int], Sequence[int]]

    def shown_at(self, moment: float) -> int:
        """The index of the frame on show, which came up before or at that moment."""
        return max(bisect_right(self.timestamps, moment + _SLACK) - 1, 0)


@dataclass(frozen=True)
class Selection:
    """The frames chosen, by index, rising and each once; with what the user should know about the choice."""

    indices: tuple[int, ...]
    warnings: tuple[str, ...]


def uniform_indices(total: int, count: int) -> list[int]:
    """`count` indices spread over `total` frames: `i * total // count`; all of them when there are fewer."""
    count = min(count, total)
    return [i * total // count for i in range(count)]


def nearest_each(moments: Sequence[float], places: Sequence[float]) -> list[int]:
    """For each of the rising `moments` the index of the nearest of the rising `places` that no other moment takes.

    All of them when there are no more places than moments.
    """
    chosen: list[int] = []
    if len(places) <= len(moments):
        return list(range(len(places)))
    for number, moment in enumerate(moments):
        lowest = chosen[-1] + 1 if chosen else 0
        highest = len(places) - (len(moments) - number)  # each of the later ones finds a place
        after = bisect_left(places, moment, lowest, highest + 1)
        near = [place for place in (after - 1, after) if lowest <= place <= highest]
        chosen.append(min(near, key=lambda place: abs(places[place] - moment)))
    return chosen


def scene_indices(bounds: Sequence[int], count: int) -> list[int]:
    """`count` indices out of scenes, each of which gets some, the longer ones more; fewer when there are fewer frames.

    Args:
        bounds: where each scene begins, rising, and where the last one ends.
        count: 1 or more. With fewer than there are scenes, scenes are left out uniformly.
    """
    scenes = list(pairwise(bounds))
    if count < len(scenes):
        scenes = [scenes[index] for index in uniform_indices(len(scenes), count)]
    lengths = [stop - first for first, stop in scenes]
    shares = [1] * len(scenes)
    for _ in range(min(count, sum(lengths)) - len(scenes)):
        # to whom a frame stands for most others
        shares[max(range(len(scenes)), key=lambda scene: lengths[scene] / shares[scene])] += 1
    return [
        first + (2 * i + 1) * length // (2 * share)
        for (first, _), length, share in zip(scenes, lengths, shares, strict=True)
        for i in range(share)
    ]


def check_sampling(sampling: Sampling, settings: Settings) -> None:
    """Refuses what makes sense for no video.

    Raises:
        QuestionError: a number out of range, options that exclude each other, a strategy that there is not, or a range
            that ends before it starts.
    """
    check_strategy(sampling.strategy, settings)
    counts = (sampling.num_frames, len(sampling.timestamps) if sampling.timestamps is not None else None)
    for name, count in zip(("num_frames", "the number of timestamps"), counts, strict=True):
        if count is not None and count < 1:
            raise QuestionError(f"{name} is {count}", hint="Ask for 1 frame or more.")
        if count is not None and count > settings.max_frames:
            raise QuestionError(
                f"{name} is {count}, above the ceiling of {settings.max_frames}",
                hint="Ask for fewer frames, or raise VIDEO_TOOL_MAX_FRAMES.",
            )
    given = [name for name in ("num_frames", "fps", "timestamps") if getattr(sampling, name) is not None]
    if len(given) > 1:
        raise QuestionError(f"{' and '.join(given)} are given together", hint="Give one of them.")
    if sampling.strategy != "uniform" and sampling.timestamps is not None:
        raise QuestionError(
            f"timestamps are given, and the strategy is {sampling.strategy}", hint="Leave out one of the two."
        )
    if sampling.strategy not in ("uniform", "keyframes") and sampling.fps is not None:
        raise QuestionError(
            f"the strategy is {sampling.strategy}, and fps is given", hint="Give num_frames instead of fps."
        )
    if sampling.fps is not None and not (math.isfinite(sampling.fps) and sampling.fps > 0):
        raise QuestionError(f"fps is {sampling.fps}", hint="Give a number above 0.")
    moments = [("start", sampling.start), ("end", sampling.end)]
    for name, moment in (*moments, *(("a timestamp", each) for each in sampling.timestamps or ())):
        if moment is not None and not (math.isfinite(moment) and moment >= 0):
            raise QuestionError(f"{name} is {moment}", hint="Give seconds from the video's start, 0 or more.")
    if sampling.end is not None and sampling.end <= (sampling.start or 0):
        raise QuestionError(
            f"end ({sampling.end:g} s) is not after start ({sampling.start or 0:g} s)",
            hint="Let the range end after it starts; both are seconds.",
        )


def select(video: Timeline, sampling: Sampling, settings: Settings) -> Selection:
    """The frames of one video to look at.

    Args:
        video: what is known of it.
        sampling: what was asked for, checked by `check_sampling`.
        settings: the default number of frames, and the ceiling.

    Raises:
        QuestionError: the range, or a timestamp, lies past the video's end, a timestamp outside the range, or a
            plugin's strategy fails.
    """
    choice = _Choice(video, sampling, settings)
    if sampling.timestamps is not None:
        chosen = choice.at(sampling.timestamps)
    elif sampling.strategy == "scenes":
        chosen = choice.scenes()
    elif sampling.strategy not in STRATEGIES:
        chosen = choice.by_plugin(sampling.strategy, settings)
    else:
        chosen = choice.at_rate(sampling.fps) if sampling.fps is not None else choice.uniform()
    if sampling.strategy == "keyframes":
        chosen = choice.nearest_keyframes(chosen)
    return Selection(tuple(chosen), tuple(choice.warnings))


class _Choice:
    """Choosing out of the frames of a range: those from `first` to below `stop`."""

    def __init__(self, video: Timeline, sampling: Sampling, settings: Settings) -> None:
        self.video = video
        self.warnings: list[str] = []
        self.ceiling = settings.max_frames
        self.start = sampling.start or 0.0
        self.end = video.duration if sampling.end is None else min(sampling.end, video.duration)
        if self.start >= video.duration:
            raise QuestionError(
                f"{video.name} is {video.duration:.2f} s long, and the range starts at {self.start:g} s",
                hint=f"Let start be below {video.duration:.2f}.",
            )
        if sampling.end is not None and sampling.end > video.duration + 0.5:
            self.warnings.append(
                f"{video.name} ends at {video.duration:.2f} s, before the asked end of {sampling.end:g} s."
            )
        # the frame on show at `start` counts, though it came up before it
        self.first = video.shown_at(self.start)
        last = len(video.timestamps) if sampling.end is None else bisect_left(video.timestamps, sampling.end - _SLACK)
        self.stop = max(last, self.first + 1)
        self.wanted = sampling.num_frames or settings.num_frames

    def uniform(self) -> list[int]:
        self._warn_of_few()
        return [self.first + index for index in uniform_indices(self.stop - self.first, self.wanted)]

    def at_rate(self, fps: float) -> list[int]:
        count = math.ceil(min(max((self.end - self.start) * fps - 1e-6, 1), self.ceiling + 1))
        if count > self.ceiling:
            self.warnings.append(
                f"{fps:g} frames a second of {self.video.name} are above the ceiling: {self.ceiling} are used."
            )
            step = (self.end - self.start) / self.ceiling
            moments = [self.start + i * step for i in range(self.ceiling)]
        else:
            moments = [self.start + i / fps for i in range(count)]
        return self._on_show(moments, f"{fps:g} a second")

    def at(self, moments: Sequence[float]) -> list[int]:
        outside = [moment for moment in moments if not self.start <= moment < self.end]
        if outside:
            raise QuestionError(
                f"the timestamp {outside[0]:g} s is not in the range of {self.video.name}, "
                f"{self.start:g} s to {self.end:.2f} s",
                hint=f"Give timestamps from {self.start:g} to below {self.end:.2f}.",
            )
        return self._on_show(moments, "these timestamps")

    def scenes(self) -> list[int]:
        self._warn_of_few()
        bounds = [self.first, *self.video.cuts(self.first, self.stop), self.stop]
        if len(bounds) - 1 > self.wanted:
            self.warnings.append(
                f"{self.video.name} has {len(bounds) - 1} scenes in range; {self.wanted} of them are looked at."
            )
        return scene_indices(bounds, self.wanted)

    def by_plugin(self, strategy: str, settings: Settings) -> list[int]:
        self._warn_of_few()
        frames = range(self.first, self.stop)
        chosen = indices_by(strategy, self.video, frames, min(self.wanted, len(frames)), settings)
        if len(chosen) < min(self.wanted, len(frames)):
            self.warnings.append(
                f"{strategy} chose {len(chosen)} of {self.video.name}'s frames, fewer than the {self.wanted} asked for."
            )
        return chosen

    def nearest_keyframes(self, chosen: list[int]) -> list[int]:
        keyframes = [index for index in self.video.keyframes() if self.first <= index < self.stop]
        if not keyframes:
            self.warnings.append(f"{self.video.name} has no known keyframe in range: other frames are looked at.")
            return chosen
        if len(keyframes) < len(chosen):
            found = "1 keyframe" if len(keyframes) == 1 else f"{len(keyframes)} keyframes"
            self.warnings.append(
                f"{self.video.name} has {found} in range, fewer than the {len(chosen)} frames asked for."
            )
        moments = [self.video.timestamps[index] for index in chosen]
        places = nearest_each(moments, [self.video.timestamps[index] for index in keyframes])
        return [keyframes[place] for place in places]

    def _on_show(self, moments: Sequence[float], when: str) -> list[int]:
        shown = (self.video.shown_at(moment) for moment in moments)
        chosen = sorted({min(max(index, self.first), self.stop - 1) for index in shown})
        if len(chosen) < len(moments):
            self.warnings.append(f"{self.video.name} has {len(chosen)} different frames at {when}, not {len(moments)}.")
        return chosen

    def _warn_of_few(self) -> None:
        total = self.stop - self.first
        if self.wanted > total:
            found = "1 frame" if total == 1 else f"{total} frames"
            self.warnings.append(f"{self.video.name} has {found} in range, fewer than the {self.wanted} asked for.")
