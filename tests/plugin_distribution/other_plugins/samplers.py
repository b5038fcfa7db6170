"""Strategies; some choose what they may not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from video_tool.frames.sampling import Timeline
from video_tool.plugins import hookimpl


def ends(video: Timeline, frames: range, count: int) -> Sequence[int]:
    return sorted({frames[-1], frames[0]})[:count]


def latest(video: Timeline, frames: range, count: int) -> Sequence[int]:
    return [frames[-1 - i] for i in range(count)]


def greedy(video: Timeline, frames: range, count: int) -> Sequence[int]:
    return frames


def lost(video: Timeline, frames: range, count: int) -> Sequence[int]:
    return [frames[-1] + 1]


def idle(video: Timeline, frames: range, count: int) -> Sequence[int]:
    return []


def halves(video: Timeline, frames: range, count: int) -> Any:
    return [frames[0] + 0.5]


@hookimpl
def samplers() -> dict[str, Callable[[Timeline, range, int], Sequence[int]]]:
    return {each.__name__: each for each in (ends, latest, greedy, lost, idle, halves)}
