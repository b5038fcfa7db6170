"""A question as a model takes it, in line for the model's weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from video_tool.answer import FeatureCacheUse, PrefixCacheUse, Usage
from video_tool.errors import OutOfMemoryError
from video_tool.models.base import Generation, OnText, Said
from video_tool.models.batching import Begun, answer_together, batches, common_beginning, go_together
from video_tool.models.choosing import closing_tokens
from video_tool.models.failures import let_go
from video_tool.models.gathering import Asked, Turn
from video_tool.models.heeding import Heeding
from video_tool.models.kv_caches import KVCaches
from video_tool.models.listening import Listener
from video_tool.models.prefill import Encoded
from video_tool.models.prefilling import Prefiller
from video_tool.models.prefix_keys import prefix_keys
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.structured import Constraint
from video_tool.models.transformers_errors import typed_errors
from video_tool.progress import OnProgress
from video_tool.prompt import Prompt
from video_tool.question import GenerationOptions

_AHEAD = 8
"""Questions in line that keep their pixels ready. Those of the others are made again when they are needed: as the
model takes them, a video's frames are four times as large as they were."""


@dataclass(frozen=True)
class Weights:
    """A model and what goes along with it, for those who have the turn.

    Attributes:
        model: of Transformers, on its device.
        name: what it is called.
        device: where its inputs go.
        preprocessor: makes them.
        prefiller: lets prompts begin where an earlier one was the same.
        caches: what keys and values are put into.
        heeding: ends its passes.
    """

    model: Any
    name: str
    device: Any
    preprocessor: Preprocessor
    prefiller: Prefiller
    caches: KVCaches
    heeding: Heeding

    @property
    def tokenizer(self) -> Any:
        return self.preprocessor.processor.tokenizer

    @cached_property
    def ends(self) -> list[int]:
        """The tokens with which the model ends an answer."""
        return closing_tokens(self.model)

    def typed_errors(self, tokens: int) -> AbstractContextManager[None]:
        """Has what the model raises say what to do, for a prompt of so many tokens."""
        return typed_errors(tokens, self.name, self.preprocessor.family, self.device)


class EncodedQuestion(Asked):
    """One prompt with its options.

    Args:
        weights: what is to answer it.
        prompt: text and media.
        encoded: what was made of it, in main memory.
        options: how to generate.
        on_progress: told how many tokens there are.
        on_text: told what each token adds to the text.
        seconds: spent on making that.
        alone: answers it by itself; None where it stopped for others, with `begun` to go on from.

    Attributes:
        ids: (1, tokens), of the prompt.
        keys: what they stand for.
        told: how many letters of the answer were told.
        begun: how far the model is with it; None where it has not begun, or is to begin anew.
        wanted: whether others want to join, while it is answered by itself; None where they could not.
        use: what earlier prompts have spared it.
        features: what they have spared the vision tower.
        companions: with how many it was answered at the most, itself included.
    """

    def __init__(
        self,
        weights: Weights,
        prompt: Prompt,
        encoded: Encoded,
        options: GenerationOptions,
        on_progress: OnProgress,
        on_text: OnText | None,
        seconds: float,
        alone: Callable[[EncodedQuestion], Said | None],
    ) -> None:
        super().__init__(options.max_new_tokens)
        self.weights, self.prompt, self.options, self.seconds = weights, prompt, options, seconds
        family = weights.preprocessor.family
        self.ids = encoded.inputs["input_ids"]
        self.keys = prefix_keys(self.ids, prompt, family, encoded.reduction)
        self.told = 0
        self.begun: Begun | None = None
        self.wanted: Callable[[], bool] | None = None
        self.use: PrefixCacheUse | None = None
        self.features: FeatureCacheUse | None = None
        self.companions = 1
        self._listener: Listener | None = None
        self._began = 0.0
        self._encoded, self._whole = encoded, True
        self._visual = family.visual(self.ids)
        self._on_progress, self._on_text, self._alone = on_progress, on_text, alone
        self._repeated = 0

    def words(self) -> Encoded:
        """What was made of it, on the model's device, without what videos and images became."""
        return self._encoded.without_pixels().on(self.weights.device)

    def encoded(self) -> Encoded:
        """What was made of it, on the model's device."""
        if self._whole:
            return self._encoded.on(self.weights.device)
        return self.weights.prefiller.encode(self.prompt, self.options.visual_tokens).on(self.weights.device)

    def listener(self, constraint: Constraint | None = None) -> Listener:
        """Goes along with generating the answer, from the first token to the last.

        Args:
            constraint: what holds the answer to a schema.
        """
        if self._listener is None:
            on_text = None if self._on_text is None else self.tell
            self._listener = Listener(
                self.weights.tokenizer,
                self.ids.shape[1],
                self.options,
                self.weights.name,
                self._on_progress,
                on_text,
                constraint,
            )
        return self._listener

    def tell(self, text: str) -> None:
        """Tells what is new of the answer; where it was begun before, what was told then is not told again."""
        again = min(self._repeated, len(text))
        self._repeated -= again
        if self._on_text is not None:
            self._on_text(text[again:])
        self.told += len(text) - again

    def begin(self) -> None:
        """From now on it is answered; where it was begun before, from the beginning."""
        self._began = time.perf_counter()
        self._repeated, self._listener, self.begun = self.told, None, None
        self.companions = 1

    def answered(self, said: Said) -> Generation:
        """The answer, now that it is whole."""
        words = self.ids.shape[1] - self._visual
        reduction = self._encoded.reduction
        usage = Usage(
            visual_tokens=self._visual,
            text_tokens=words,
            new_tokens=len(said.tokens),
            unreduced_visual_tokens=None if reduction is None else reduction.whole,
        )
        seconds = self.seconds, time.perf_counter() - self._began
        return Generation(said, usage, *seconds, self.use, self.companions, self.features)

    @property
    def batches(self) -> bool:
        """Whether it gets the same answer among others as alone."""
        weights = self.weights
        return batches(self.options, weights.model) and weights.prefiller.unfit_for(self._encoded.inputs) is None

    def alone(self, wanted: Callable[[], bool]) -> Generation | None:
        """Answers it, with the weights to itself; None where it stopped to have others join."""
        once_more = self._listener is not None  # others were to join, and have not, or it could not be with them
        self.begin()
        self.wanted = wanted if self.batches and not once_more else None
        said = self._alone(self)
        return None if said is None else self.answered(said)

    def goes_with(self, others: Sequence[Asked]) -> bool:
        """Whether it can be answered together with others, of whom the first has the turn."""
        same = [each for each in others if isinstance(each, EncodedQuestion)]
        return len(same) == len(others) and same[0].batches and self.batches and go_together(self, same)

    def stand_behind(self, line: Sequence[Asked]) -> None:
        """Lets go of pixels that somebody before it has, too, or of which the line keeps enough."""
        same = (isinstance(each, EncodedQuestion) and common_beginning([self, each]) for each in line)
        if len(line) >= _AHEAD or any(same):
            self.let_go_of_pixels()

    def let_go_of_pixels(self) -> None:
        """They are made again where they are needed after all."""
        words = self._encoded.without_pixels()
        self._whole = self._whole and len(words.inputs) == len(self._encoded.inputs)
        self._encoded = words

    def together(self, turn: Turn) -> None:
        """Answers it and others; those that stay open are answered alone."""
        try:
            answer_together(self.weights, turn)
        except OutOfMemoryError as error:
            self.weights.prefiller.forget()
            let_go(error)
