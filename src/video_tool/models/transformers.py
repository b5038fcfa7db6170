"""Models run by Hugging Face Transformers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from video_tool.answer import ModelInfo
from video_tool.cancellation import acquire, check
from video_tool.errors import CancelledError, DeadlineError, ModelError, OutOfMemoryError
from video_tool.model_options import ModelOptions
from video_tool.models.base import Generation, OnText, Said
from video_tool.models.batching import begun
from video_tool.models.choosing import after_prefill, after_prompt, longest_choice, score_choices
from video_tool.models.encoded import EncodedQuestion, Weights
from video_tool.models.failures import empty_caches, let_go
from video_tool.models.heeding import Heeding
from video_tool.models.kv_caches import Beginning, KVCaches
from video_tool.models.listening import Pause
from video_tool.models.loading import load
from video_tool.models.logprobs import LogprobRecorder
from video_tool.models.options import generate_arguments
from video_tool.models.prefill import Prefill, without_cache
from video_tool.models.prefilling import Prefiller
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.structured import Constraint, token_index
from video_tool.models.vision import VisionEncoder
from video_tool.models.vocabulary import Vocabulary
from video_tool.progress import OnProgress, ignore_progress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions

P = ParamSpec("P")
R = TypeVar("R")


def _leaving_nothing(
    generate: Callable[Concatenate[TransformersModel, P], R],
) -> Callable[Concatenate[TransformersModel, P], R]:
    """Gives the memory back that a question had taken which did not fit, or which nobody waits for any more."""

    @wraps(generate)
    def generating(self: TransformersModel, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return generate(self, *args, **kwargs)
        except (CancelledError, DeadlineError) as error:
            # of no interest to anybody, and its frames keep what the layers were at; without them all is free, and
            # the caller does not have to wait for the garbage of a large process to be collected
            error.with_traceback(None)
            del self, args, kwargs
            empty_caches()
            raise
        except OutOfMemoryError as error:
            let_go(error)
            del self, args, kwargs  # this frame is the error's, too: who keeps it must not keep the weights
            raise

    return generating


class TransformersModel:
    """A `VideoLanguageModel` run by Transformers. Its weights are those of all others with the same model and options.

    Args:
        model: a name on the Hugging Face hub, a folder, or `builtin`.
        options: how it is loaded and run.
        on_progress: told about loading.
        plugins: the distributions whose families are asked; None for all.
        prefix_cache_bytes: most bytes that are kept for prompts that begin as earlier ones; None for a share of what
            is free.
        feature_cache_bytes: most bytes that are kept for prompts that show what earlier ones did, likewise.

    Raises as `loading.load` does.
    """

    def __init__(
        self,
        model: str | Path,
        options: ModelOptions | None = None,
        on_progress: OnProgress = ignore_progress,
        plugins: Sequence[str] | None = None,
        prefix_cache_bytes: int | None = None,
        feature_cache_bytes: int | None = None,
    ) -> None:
        options = options or ModelOptions()
        self._loaded = loaded = load(model, options, on_progress)
        self._model, self._gatherer = loaded.model, loaded.gatherer
        self._heeding = Heeding(loaded.model, compiled=options.compile)
        self.preprocessor = Preprocessor(
            loaded.processor, self._model.config, options.kind, loaded.processor_lock, plugins
        )
        self.preprocessor.prepare()
        features, device = loaded.features, loaded.device
        self._vision = VisionEncoder(
            self._model, self.preprocessor, features, device, feature_cache_bytes, self._heeding.prefills
        )
        caches = KVCaches(self._model, device, options.kv_cache)
        self._prefiller = Prefiller(
            self._model, self.preprocessor, self._vision, loaded.prefixes, features, device, prefix_cache_bytes, caches
        )
        unfit = self._prefiller.unfit
        if options.kv_cache is not None and unfit is not None:
            raise ModelError(f"kv_cache is {options.kv_cache}, and {unfit}", hint="Leave out kv_cache for this model.")
        if unfit is None and not options.compile:
            from video_tool.models import attention

            attention.install(self._model)
        self._weights = Weights(
            self._model, str(model), device, self.preprocessor, self._prefiller, caches, self._heeding
        )
        self.frame_size = self.preprocessor.frame_size
        self.info = ModelInfo(
            id=str(model),
            revision=loaded.revision,
            device=str(loaded.device),
            dtype=str(self._model.dtype).removeprefix("torch."),
            attention=loaded.attention,
            takes=self.preprocessor.family.style.takes,
            kind=self.preprocessor.kind,
            quantization=options.quantization,
            adapter=None if options.adapter is None else str(options.adapter),
            adapter_revision=loaded.adapter_revision,
            compiled=options.compile,
            kv_cache=options.kv_cache,
            device_map=loaded.device_map,
            remote_code=options.trust_remote_code is not None,
        )

    def check_length(self, messages: Sequence[Message], options: GenerationOptions) -> None:
        """Raises as `generate` does, short of encoding and generating."""
        fewer = self._vision.reducer.fewer(options.visual_tokens)
        self.preprocessor.check_length(messages, self._new_tokens(options), fewer=fewer)

    def forget(self) -> bool:
        """Lets go of what is kept for later questions; whether there was anything."""
        return self._prefiller.forget()

    @_leaving_nothing
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
            QuestionError: words can't be kept from being read as tokens, the schema can't be enforced, or the model
                does not allow fewer visual tokens.
            StructuredOutputError: the model's tokenizer can't spell what the schema asks for.
            CheckpointError: the processor's configuration does not fit the model.
            ContextLengthError: prompt and answer are longer than the model's context.
            OutOfMemoryError: the device does not hold the question.
            CancelledError, DeadlineError: the work around is to stop.
        """
        (found,) = self._gatherer.answer(partial(self._encode, [messages], options, on_progress, on_text))
        return found

    @_leaving_nothing
    def generate_many(
        self, conversations: Sequence[Sequence[Message]], options: GenerationOptions, on_progress: OnProgress
    ) -> list[Generation]:
        """The next words in each of several conversations, in batches where that gives each the words that it would
        have by itself. Raises as `generate` does.
        """
        return self._gatherer.answer(partial(self._encode, conversations, options, on_progress))

    def _encode(
        self,
        conversations: Sequence[Sequence[Message]],
        options: GenerationOptions,
        on_progress: OnProgress,
        on_text: OnText | None = None,
    ) -> list[EncodedQuestion]:
        preprocessor = self.preprocessor
        preprocessor = self.preprocessor
        fewer = self._vision.reducer.fewer(options.visual_tokens)
        questions: list[EncodedQuestion] = []
        for messages in conversations:
            with acquire(self._loaded.processor_lock):
                began = time.perf_counter()
                prompt = preprocessor.prompt(messages)
                encoded = self._prefiller.encode(prompt, options.visual_tokens)
                preprocessor.check_length(messages, self._new_tokens(options), encoded.tokens, fewer)
                spent = time.perf_counter() - began
                question = EncodedQuestion(
                    self._weights, prompt, encoded, options, on_progress, on_text, spent, self._answer
                )
            check()
            question.stand_behind(questions)
            questions.append(question)
        return questions

    def _answer(self, question: EncodedQuestion) -> Said | None:
        try:
            return self._read_and_say(question)
        except OutOfMemoryError as error:
            # what is kept for later questions never stands in the way of this one
            if not self.forget() or question.told:
                raise
            let_go(error)
            question.begin()
            return self._read_and_say(question)

    def _read_and_say(self, question: EncodedQuestion) -> Said | None:
        options, tokens = question.options, question.ids.shape[1]
        with self._weights.typed_errors(tokens):
            seeded = options.temperature > 0 and options.seed is not None
            prefill = self._prefiller.begin(question.prompt, question.encoded(), question.keys, seeded=seeded)
        if options.choices:
            said = self._choose(prefill, question)
        else:
            constraint = self._constraint(options)
            check()
            said = self._say(prefill, question, constraint)
        question.use = self._prefiller.use(prefill)
        question.features = self._prefiller.use_of_features(prefill.seen)
        return said

    def _new_tokens(self, options: GenerationOptions) -> int:
        return longest_choice(self._tokenizer, options.choices) if options.choices else options.max_new_tokens

    def _constraint(self, options: GenerationOptions) -> Constraint | None:
        if options.response_format is None:
            return None
        return Constraint(options.response_format, self._vocabulary, self._token_index, ends=self._weights.ends)

    @property
    def _tokenizer(self) -> Any:
        return self.preprocessor.processor.tokenizer

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self._tokenizer)

    @cached_property
    def _token_index(self) -> Any:
        return token_index(self._vocabulary, self.info.id)

    def _say(self, prefill: Prefill, question: EncodedQuestion, constraint: Constraint | None) -> Said | None:
        import torch

        prompt, options, listener = question.ids.shape[1], question.options, question.listener(constraint)
        arguments = generate_arguments(options)
        if constraint is not None:
            arguments["logits_processor"] = [constraint]
        recorder = LogprobRecorder(self._vocabulary, options.top_logprobs or 0) if options.logprobs else None
        pause = Pause(question.wanted) if question.wanted else None
        criteria = [each for each in (recorder, listener, pause) if each is not None]
        with torch.inference_mode(), self._weights.typed_errors(prompt):
            with (
                self._heeding.prefill_first(prefill.passes),
                self._seeded(options.seed),
                recorder.listening(self._model) if recorder else nullcontext(),
            ):
                out = self._model.generate(**prefill.arguments, **arguments, stopping_criteria=criteria)
            if listener.failure is not None:
                raise listener.failure
            self._prefiller.keep(prefill, out[0, prompt:].tolist())
        if pause is not None and pause.wished and not listener.ended(out, self._weights.ends):
            question.begun = None if prefill.cache is None else begun(prefill, out)
            return None
        return listener.said(out, self._weights.ends, recorder.tokens if recorder else ())

    def _choose(self, prefill: Prefill, question: EncodedQuestion) -> Said:
        import torch

        prompt = prefill.arguments["input_ids"].shape[1]
        once = generate_arguments(GenerationOptions(max_new_tokens=1))
        with torch.inference_mode(), self._weights.typed_errors(prompt), self._heeding.prefills():
            out = self._model.generate(**prefill.arguments, **once, output_logits=True, return_dict_in_generate=True)
            self._prefiller.keep(prefill, ())
            if prefill.cache is None:
                after = after_prompt(self._model, without_cache(prefill.arguments))
            else:
                known = [Beginning(prefill.cache, prompt)]
                after = after_prefill(self._model, partial(self._weights.caches.joined, known), prefill.position_ids)
            choices = question.options.choices
            scores = score_choices(self._tokenizer, choices, self._weights.ends, out.logits[0][0], after)
        best = max(scores, key=lambda score: score.log_probability)
        question.tell(best.text)
        return Said(best.text, (), "stop", scores)

    @contextmanager
    def _seeded(self, seed: int | None) -> Generator[None]:
        """Draws by this seed within the block, and leaves the process's own random numbers as they are."""
        import torch

        if seed is None:
            yield
            return
        devices = [self._loaded.device] if self._loaded.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            yield
