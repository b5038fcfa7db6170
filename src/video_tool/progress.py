"""What the engine is doing right now, for those who show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["download", "decode", "load", "generate"]


@dataclass(frozen=True)
class Progress:
    """One piece of news about a stage.

    Attributes:
        stage: which stage of the pipeline.
        subject: what it works on: a video's name, a model's.
        done: how far it is, in `unit`.
        total: how far it will go, in `unit`; None when unknown.
        unit: bytes, frames, tokens, or models.
        rate: how fast it goes, in `unit` a second; None when unknown.
    """

    stage: Stage
    subject: str
    done: int
    total: int | None
    unit: Literal["bytes", "frames", "tokens", "models"]
    rate: float | None = None


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The callback of those who don't care."""
