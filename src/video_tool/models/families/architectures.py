"""Families of which processor and configuration do not say all."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from video_tool.models.families.family import Family


class VideoLlava(Family):
    """Video-LLaVA, which was trained on eight frames a video.

    The configuration has the tokens of one video, `video_seq_length`; other architectures have it, too, and mean
    nothing by it.
    """

    @classmethod
    def fits(cls, processor: Any, config: Any) -> bool:  # noqa: ARG003 — its configuration says enough
        return getattr(config, "model_type", None) == "video_llava"

    @cached_property
    def max_frames(self) -> int | None:
        return int(self.config.video_seq_length) // self.visual_tokens([], [(1, 64, 64)])


ARCHITECTURES: tuple[type[Family], ...] = (VideoLlava,)
