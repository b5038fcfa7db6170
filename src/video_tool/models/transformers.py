"""Models run by Hugging Face Transformers."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_tool.answer import ModelInfo, ModelKind
from video_tool.errors import CheckpointError, ContextLengthError, OutOfMemoryError
from video_tool.models.base import Generation, OnText, Said
from video_tool.models.choosing import closing_tokens, longest_choice, score_choices
from video_tool.models.families import family_of
from video_tool.models.hardware import Hardware
from video_tool.models.listening import Listener
from video_tool.models.loading import load
from video_tool.models.logprobs import LogprobRecorder
from video_tool.models.options import generate_arguments
from video_tool.models.resizing import frame_size
from video_tool.models.structured import Constraint, token_index
from video_tool.models.vocabulary import Vocabulary
from video_tool.progress import OnProgress
from video_tool.prompt import Message, Prompt, TemplateStyle, build_prompt, find_kind, has_template
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch


class TransformersModel:
    """A `VideoLanguageModel` loaded through Transformers. Raises as `loading.load` does."""

    def __init__(
        self, model: str | Path, revision: str | None, hardware: Hardware, kind: ModelKind | None = None
    ) -> None:
        loaded = load(model, revision, hardware)
        self._model, self.processor = loaded.model, loaded.processor
        config = self._model.config
        self.family = family_of(self.processor, config)
        self.style: TemplateStyle = self.family.style
        self.frame_size = frame_size(self.processor) if self.style.takes == "images" else None
        self.info = ModelInfo(
            id=str(model),
            revision=loaded.revision,
            device=str(self._model.device),
            dtype=str(self._model.dtype).removeprefix("torch."),
            attention=str(config._attn_implementation),
            takes=self.style.takes,
            kind=self._kind_of(kind),
        )

    def check_length(self, messages: Sequence[Message], options: GenerationOptions) -> None:
        """Raises as `generate` does, short of generating."""
        prompt = self.prompt(messages)
        ids = self.encode(prompt)["input_ids"]
        self._check_length(prompt, ids.shape[1], self.family.visual(ids), self._new_tokens(options))

    def generate(
        self,
        messages: Sequence[Message],
        options: GenerationOptions,
        on_progress: OnProgress,
        on_text: OnText | None = None,
    ) -> Generation:
        """The next words in a conversation.

        Raises:
            PlaceholderError: template or processor lost videos or images on the way.
            PromptError: the chat template has no place for a system prompt or for earlier turns, or the model does not
                take such videos, or not together.
            QuestionError: words can't be kept from being read as tokens, or the schema can't be enforced.
            StructuredOutputError: the model's tokenizer can't spell what the schema asks for.
            CheckpointError: the processor's configuration does not fit the model.
            ContextLengthError: prompt and answer are longer than the model's context.
            OutOfMemoryError: the device does not hold the question.
        """
        asked = time.perf_counter()
        prompt = self.prompt(messages)
        inputs = self.encode(prompt)
        ids: torch.Tensor = inputs["input_ids"]
        visual = self.family.visual(ids)
        tokenizer = self.processor.tokenizer
        self._check_length(prompt, ids.shape[1], visual, self._new_tokens(options))
        encoded = time.perf_counter()
        if options.choices:
            said = self._choose(inputs, options.choices, on_text)
        else:
            constraint = self._constraint(options)
            said = self._say(
                inputs,
                options,
                Listener(tokenizer, ids.shape[1], options, self.info.id, on_progress, on_text, constraint),
                constraint,
            )
        return Generation(said, visual, ids.shape[1] - visual, encoded - asked, time.perf_counter() - encoded)

    def _new_tokens(self, options: GenerationOptions) -> int:
        return longest_choice(self.processor.tokenizer, options.choices) if options.choices else options.max_new_tokens

    def _kind_of(self, asked: ModelKind | None) -> ModelKind:
        if asked not in (None, "base") and not has_template(self.processor):
            raise CheckpointError(
                "the checkpoint has no chat template, so it is a base model",
                hint="Ask it as one: leave out kind, or give kind='base'.",
            )
        return asked or find_kind(self.processor)

    def _constraint(self, options: GenerationOptions) -> Constraint | None:
        if options.response_format is None:
            return None
        return Constraint(
            options.response_format, self._vocabulary, self._token_index, ends=closing_tokens(self._model)
        )

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.processor.tokenizer)

    @cached_property
    def _token_index(self) -> Any:
        return token_index(self._vocabulary, self.info.id)

    def _say(self, inputs: Any, options: GenerationOptions, listener: Listener, constraint: Constraint | None) -> Said:
        import torch

        prompt = inputs["input_ids"].shape[1]
        arguments = generate_arguments(options)
        if constraint is not None:
            arguments["logits_processor"] = [constraint]
        recorder = LogprobRecorder(self._vocabulary, options.top_logprobs or 0) if options.logprobs else None
        criteria = [listener] if recorder is None else [recorder, listener]
        with (
            torch.inference_mode(),
            self._typed_errors(prompt),
            self._seeded(options.seed),
            recorder.listening(self._model) if recorder else nullcontext(),
        ):
            out = self._model.generate(**inputs, **arguments, stopping_criteria=criteria)
        if listener.failure is not None:
            raise listener.failure
        listener.finish(out)
        new = tuple(out[0, prompt:].tolist())
        said_all = bool(new) and new[-1] in closing_tokens(self._model)
        # Transformers may have looked a token further than the end
        logprobs = tuple(recorder.tokens[: len(new)]) if recorder else ()
        return Said(listener.text, new, "stop" if said_all else listener.stopped or "length", logprobs=logprobs)

    def _choose(self, inputs: Any, choices: Sequence[str], on_text: OnText | None) -> Said:
        import torch

        with torch.inference_mode(), self._typed_errors(inputs["input_ids"].shape[1]):
            scores = score_choices(self._model, self.processor.tokenizer, inputs, choices)
        best = max(scores, key=lambda score: score.log_probability)
        if on_text is not None:
            on_text(best.text)
        return Said(best.text, (), "stop", scores)

    @contextmanager
    def _typed_errors(self, tokens: int) -> Generator[None]:
        """Has what the model raises say what to do."""
        import torch

        try:
            yield
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"{tokens} tokens do not fit into the device's memory",
                hint="Ask with fewer frames or videos.",
                retryable=True,
            ) from error
        except ValueError as error:
            raise self.family.misfit(error) from error

    @contextmanager
    def _seeded(self, seed: int | None) -> Generator[None]:
        """Draws by this seed within the block, and leaves the process's own random numbers as they are."""
        import torch

        if seed is None:
            yield
            return
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            yield

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """The text that stands for a conversation, and its media. Raises as `build_prompt` does."""
        return build_prompt(self.family.arrange(messages), self.processor, self.style, self.info.kind)

    def encode(self, prompt: Prompt) -> Any:
        """What the model takes: token ids and pixel values, on its device. Raises as `Family.encode` does."""
        inputs = self.family.encode(prompt).to(self._model.device)
        for name, value in inputs.items():
            # pixels, not numbers such as the seconds between frames
            if getattr(value, "ndim", 0) > 1 and value.is_floating_point():
                inputs[name] = value.to(self._model.dtype)
        return inputs

    def _check_length(self, prompt: Prompt, tokens: int, visual: int, new: int) -> None:
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if context is None or tokens + new <= context:
            return
        most = _frames_that_fit(prompt, visual, context - new - (tokens - visual))
        raise ContextLengthError(
            f"the prompt is {tokens} tokens ({visual} of them visual) and the answer up to {new}; "
            f"the model's context holds {context}",
            hint=f"Lower num_frames to {most}: no more frames of each video fit."
            if most
            else "Ask about fewer videos and images, shorten the question, or lower max_new_tokens.",
            max_frames=most,
        )


def _frames_that_fit(prompt: Prompt, visual: int, room: int) -> int:
    """The largest number of frames a video whose visual tokens fit; 0 when not even one does."""
    counts = prompt.frame_counts
    every = len(prompt.images) + sum(len(video.images) for video in prompt.videos)
    places = room * every // visual - (every - sum(counts)) if visual else 0
    fitting = (n for n in range(1, max(counts, default=0) + 1) if sum(min(n, count) for count in counts) <= places)
    return max(fitting, default=0)
