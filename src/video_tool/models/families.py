"""How a model family takes a video: read off the checkpoint's processor, never off its name."""

from __future__ import annotations

from typing import Any

from video_tool.errors import CheckpointError
from video_tool.prompt import TemplateStyle


def template_style(processor: Any) -> TemplateStyle:
    """A processor with a video processor and a video token takes videos; the others take images.

    Raises:
        CheckpointError: the processor takes neither.
    """
    image_token = _token(processor, "image_token")
    video_token = _token(processor, "video_token")
    if video_token and getattr(processor, "video_processor", None) is not None:
        return TemplateStyle("video", image_token, video_token)
    if image_token and getattr(processor, "image_processor", None) is not None:
        return TemplateStyle("images", image_token)
    raise CheckpointError(
        f"{type(processor).__name__} takes neither images nor videos",
        hint="Use a vision-language checkpoint, such as llava-hf/llava-interleave-qwen-0.5b-hf.",
    )


def _token(processor: Any, name: str) -> str:
    found = getattr(processor, name, None) or getattr(getattr(processor, "tokenizer", None), name, None)
    return str(found) if found else ""
