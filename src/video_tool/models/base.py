"""What a backend is, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from video_tool.answer import ChoiceScore, FeatureCacheUse, FinishReason, ModelInfo, PrefixCacheUse, TokenLogprob, Usage
from video_tool.frames import FrameSize
from video_tool.progress import OnProgress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions


@dataclass(frozen=True)
class Said:
    """What a model came up with.

    Attributes:
        text: the new words alone.
        tokens: all that were generated, the closing one included; none where choices were given, or where a server
            that runs the model keeps them to itself.
        finish_reason: `stop` when the model had said all, its JSON was whole or it came to a stop string, `length`
            when it ran into max_new_tokens, `time` when it ran into max_seconds.
        choices: how likely the given choices were; the text is the likeliest.
        logprobs: how likely each token was, where that was asked for.
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: FinishReason
    choices: tuple[ChoiceScore, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Generation:
    """What came out of a model for one conversation, and what it took.

    Attributes:
        said: the words.
        usage: the tokens that it took.
        prompt_seconds: from messages to tokens and pixel values.
        generate_seconds: the rest.
        prefix_cache: what earlier prompts have spared it; None where that is not known.
        batch: how many conversations were answered together, this one included.
        feature_cache: what they have spared its vision tower, likewise.
    """

    said: Said
    usage: Usage
    prompt_seconds: float
    generate_seconds: float
    prefix_cache: PrefixCacheUse | None = None
    batch: int = 1
    feature_cache: FeatureCacheUse | None = None


OnText = Callable[[str], None]
"""Told what each token adds to the text, which may be nothing; what it raises ends generating."""


@runtime_checkable
class BatchModel(Protocol):
    """A loaded model that can answer several questions at once."""

    def generate_many(
        self, conversations: Sequence[Sequence[Message]], options: GenerationOptions, on_progress: OnProgress
    ) -> list[Generation]:
        """The next words in each of several conversations, as `generate` would give them."""
        ...


class VideoLanguageModel(Protocol):
    """A loaded model."""

    @property
    def info(self) -> ModelInfo:
        """What it is and how it runs."""
        ...

    @property
    def frame_size(self) -> FrameSize | None:
        """The size to which it would resize every frame, and would do nothing else before it scales the pixels."""
        ...

    def check_length(self, messages: Sequence[Message], options: GenerationOptions) -> None:
        """Raises a `ContextLengthError` for a conversation that is longer, with its answer, than the model holds."""
        ...

    def generate(
        self,
        messages: Sequence[Message],
        options: GenerationOptions,
        on_progress: OnProgress,
        on_text: OnText | None = None,
    ) -> Generation:
        """The next words in a conversation whose last turn is the user's."""
        ...
