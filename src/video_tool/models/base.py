"""What a backend is, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from video_tool.answer import ModelInfo
from video_tool.frames import FrameSize
from video_tool.progress import OnProgress
from video_tool.prompt import Prompt, TemplateStyle
from video_tool.question import GenerationOptions


@dataclass(frozen=True)
class Generation:
    """What came out of a model for one prompt.

    Attributes:
        text: the new words alone.
        visual_tokens: prompt tokens that stand for frames and images.
        text_tokens: the other prompt tokens.
        tokens: all that were generated, the closing one included.
        finish_reason: `stop` when the model had said all or came to a stop string, `length` when it ran into
            max_new_tokens, `time` when it ran into max_seconds.
        prompt_seconds: tokens and pixel values.
        generate_seconds: the rest.
    """

    text: str
    visual_tokens: int
    text_tokens: int
    tokens: tuple[int, ...]
    finish_reason: Literal["stop", "length", "time"]
    prompt_seconds: float
    generate_seconds: float

    @property
    def new_tokens(self) -> int:
        return len(self.tokens)


OnText = Callable[[str], None]
"""Told what each token adds to the text, which may be nothing; what it raises ends generating."""


class VideoLanguageModel(Protocol):
    """A loaded model."""

    @property
    def info(self) -> ModelInfo:
        """What it is and how it runs."""
        ...

    @property
    def processor(self) -> Any:
        """Holds the chat template: what `build_prompt` renders with."""
        ...

    @property
    def style(self) -> TemplateStyle:
        """How its prompts stand for videos."""
        ...

    @property
    def frame_size(self) -> FrameSize | None:
        """The size to which it would resize every frame, and would do nothing else before it scales the pixels."""
        ...

    def generate(
        self, prompt: Prompt, options: GenerationOptions, on_progress: OnProgress, on_text: OnText | None = None
    ) -> Generation:
        """Answers one prompt."""
        ...
