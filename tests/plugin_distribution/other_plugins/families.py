"""A family, for checkpoints whose processor it knows by a mark."""

from __future__ import annotations

from typing import Any

from video_tool.models.families import Family
from video_tool.plugins import hookimpl


class Marked(Family):
    """Takes two frames of a video at the most."""

    max_frames = 2

    @classmethod
    def fits(cls, processor: Any, config: Any) -> bool:
        return getattr(processor, "image_token", None) == "<|marked|>"


@hookimpl
def families() -> dict[str, type[Family]]:
    return {"marked": Marked}
