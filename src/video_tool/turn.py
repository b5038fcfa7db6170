"""A question whose videos are read: what the model is asked next."""

from __future__ import annotations

from dataclasses import dataclass

from video_tool.prompt import Message
from video_tool.question import GenerationOptions


@dataclass(frozen=True)
class Turn:
    """All that the model needs to answer.

    Attributes:
        messages: all that was said so far, the user's question last.
        options: how to generate.
        began: `time.perf_counter()` when the question came in.
        warnings: what the user should know, besides what the videos' own say.
        load_seconds: spent on loading the model for it already.
    """

    messages: tuple[Message, ...]
    options: GenerationOptions
    began: float
    warnings: tuple[str, ...] = ()
    load_seconds: float = 0.0
