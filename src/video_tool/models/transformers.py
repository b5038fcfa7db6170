"""Models run by Hugging Face Transformers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from video_tool.answer import FeatureCacheUse, ModelInfo, PrefixCacheUse, TokenLogprob, Usage
from video_tool.cancellation import acquire, check
from video_tool.errors import CancelledError, DeadlineError, ModelError, OutOfMemoryError
from video_tool.model_options import ModelOptions
from video_tool.models.base import Generation, OnText, Said
from video_tool.models.batching import BatchListener, Row, batch_arguments, batches, shared_beginning
from video_tool.models.choosing import after_prefill, after_prompt, closing_tokens, longest_choice, score_choices
from video_tool.models.failures import empty_caches, first_line, is_out_of_memory, let_go
from video_tool.models.fitting import question_too_large
from video_tool.models.heeding import Heeding
from video_tool.models.listening import Listener
from video_tool.models.loading import load
from video_tool.models.logprobs import LogprobRecorder
from video_tool.models.options import generate_arguments
from video_tool.models.prefilling import Encoded, Prefill, Prefiller, without_cache
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.structured import Constraint, token_index
from video_tool.models.vision import VisionEncoder
from video_tool.models.vocabulary import Vocabulary
from video_tool.progress import OnProgress, ignore_progress
from video_tool.prompt import Message, Prompt
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch


P = ParamSpec("P")
R = TypeVar("R")


def _one_at_a_time(
    generate: Callable[Concatenate[TransformersModel, P], R],
) -> Callable[Concatenate[TransformersModel, P], R]:
    """Has the weights answer one question at a time, whoever asks.

    What a question that did not fit, or that nobody waits for any more, had taken of the memory is given back.
    """

    @wraps(generate)
    def alone(self: TransformersModel, *args: P.args, **kwargs: P.kwargs) -> R:
        with acquire(self.alone):
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
                self.forget()
                let_go(error)
                del self, args, kwargs  # this frame is the error's, too: who keeps it must not keep the weights
                raise

    return alone


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
        self._model, self.alone = loaded.model, loaded.lock
        self._heeding = Heeding(loaded.model, compiled=options.compile)
        self.preprocessor = Preprocessor(
            loaded.processor, self._model.config, options.kind, loaded.processor_lock, plugins
        )
        features, device = loaded.features, loaded.device
        self._vision = VisionEncoder(
            self._model, self.preprocessor, features, device, feature_cache_bytes, self._heeding.prefills
        )
        self._prefiller = Prefiller(
            self._model, self.preprocessor, self._vision, loaded.prefixes, features, device, prefix_cache_bytes
        )
        self.frame_size = self.preprocessor.frame_size
        self.info = ModelInfo(
            id=str(model),
            revision=loaded.revision,
            device=str(loaded.device),
            dtype=str(self._model.dtype).removeprefix("torch."),
            attention=str(self._model.config._attn_implementation),
            takes=self.preprocessor.family.style.takes,
            kind=self.preprocessor.kind,
            quantization=options.quantization,
            adapter=None if options.adapter is None else str(options.adapter),
            adapter_revision=loaded.adapter_revision,
            compiled=options.compile,
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

    @_one_at_a_time
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
        asked = time.perf_counter()
        preprocessor = self.preprocessor
        prompt = preprocessor.prompt(messages)
        inputs = self._prefiller.encode(prompt, options.visual_tokens)
        fewer = self._vision.reducer.fewer(options.visual_tokens)
        preprocessor.check_length(messages, self._new_tokens(options), inputs.tokens, fewer)
        encoded = time.perf_counter()
        check()
        told: list[str] = []

        def tell(text: str) -> None:
            told.append(text)
            if on_text is not None:
                on_text(text)

        try:
            said, prefixes, features = self._answer(prompt, inputs, options, on_progress, on_text and tell)
        except OutOfMemoryError as error:
            # what is kept for later questions never stands in the way of this one
            if any(told) or not self.forget():
                raise
            let_go(error)
            said, prefixes, features = self._answer(prompt, inputs, options, on_progress, on_text)
        usage = self._usage(inputs, said)
        seconds = encoded - asked, time.perf_counter() - encoded
        return Generation(said, usage, *seconds, prefixes, features)

    def _answer(
        self,
        prompt: Prompt,
        inputs: Encoded,
        options: GenerationOptions,
        on_progress: OnProgress,
        on_text: OnText | None,
    ) -> tuple[Said, PrefixCacheUse, FeatureCacheUse]:
        tokens = inputs.tokens
        with self._typed_errors(tokens):
            seeded = options.temperature > 0 and options.seed is not None
            prefill = self._prefiller.begin(prompt, inputs, seeded=seeded)
        if options.choices:
            said = self._choose(prefill, options.choices, on_text)
        else:
            constraint = self._constraint(options)
            check()
            listener = Listener(self._tokenizer, tokens, options, self.info.id, on_progress, on_text, constraint)
            said = self._say(prefill, options, listener, constraint)
        return said, self._prefiller.use(prefill), self._prefiller.use_of_features(prefill)

    @_one_at_a_time
    def generate_many(
        self, conversations: Sequence[Sequence[Message]], options: GenerationOptions, on_progress: OnProgress
    ) -> list[Generation] | None:
        """The next words in each of several conversations, in batches as large as memory allows.

        None where a batch could not give the words that each would have by itself, or where the conversations do not
        begin with the same videos and images. Raises as `generate` does.
        """
        if len(conversations) < 2 or not batches(options, self._model) or self._prefiller.unfit:
            return None
        preprocessor, asked = self.preprocessor, time.perf_counter()
        prefills: list[Prefill] = []
        encoded: list[Encoded] = []
        spent: list[float] = []
        fewer = self._vision.reducer.fewer(options.visual_tokens)
        for messages in conversations:
            began = time.perf_counter()
            prompt = preprocessor.prompt(messages)
            inputs = self._prefiller.encode(prompt, options.visual_tokens)
            encoded.append(inputs)
            preprocessor.check_length(messages, self._new_tokens(options), inputs.tokens, fewer)
            begin = self._prefiller.beside if prefills else self._prefiller.begin
            with self._typed_errors(inputs.tokens):
                prefills.append(begin(prompt, inputs))
            spent.append(time.perf_counter() - began)
        cut = shared_beginning(prefills)
        if cut is None or prefills[0].cache is None:
            return None
        said = self._say_many(prefills, cut, options, on_progress)
        if said is None:
            return None
        seconds = time.perf_counter() - asked - sum(spent)
        found: list[Generation] = []
        for number, (prefill, words) in enumerate(zip(prefills, said, strict=True)):
            usage = self._usage(encoded[number], words)
            use = self._prefiller.use(prefills[0]).model_copy(update={"tokens": cut} if number else {})
            features = self._prefiller.use_of_features(prefill)
            found.append(Generation(words, usage, spent[number], seconds, use, features))
        return found

    def _say_many(
        self, prefills: Sequence[Prefill], cut: int, options: GenerationOptions, on_progress: OnProgress
    ) -> list[Said] | None:
        import torch

        ends = closing_tokens(self._model)
        filler = self._tokenizer.pad_token_id or 0
        longest = max(len(each.keys.tokens) for each in prefills)
        said: list[Said] = []
        with torch.inference_mode(), self._typed_errors(longest):
            first, once = prefills[0], generate_arguments(GenerationOptions(max_new_tokens=1))
            with self._heeding.prefill_first():
                self._model.generate(**first.arguments, **once)
            self._prefiller.keep(first, ())
            if self._prefiller.unfit is not None:
                return None
            size = self._prefiller.most_rows(first, longest + options.max_new_tokens)
            for start in range(0, len(prefills), size):
                group = prefills[start : start + size]
                rows = [Row(each.arguments["input_ids"], each.position_ids) for each in group]
                cache = self._prefiller.shared_by(first, cut, len(rows))
                arguments = batch_arguments(rows, cut, cache, filler)
                prompt = arguments["input_ids"].shape[1]
                listeners = [Listener(self._tokenizer, prompt, options, self.info.id, on_progress, None) for _ in group]
                batch = BatchListener(listeners, prompt, ends)
                with self._heeding.prefill_first():
                    out = self._model.generate(**arguments, **generate_arguments(options), stopping_criteria=[batch])
                if batch.failure is not None:
                    raise batch.failure
                for number, (listener, length) in enumerate(zip(listeners, batch.lengths, strict=True)):
                    stop = None if length is None else prompt + length
                    said.append(self._heard(listener, out[number : number + 1, :stop], prompt))
        return said

    def _heard(self, listener: Listener, out: torch.Tensor, prompt: int, logprobs: Sequence[TokenLogprob] = ()) -> Said:
        """What was said, once nothing is generated any more."""
        listener.finish(out)
        new = tuple(out[0, prompt:].tolist())
        said_all = bool(new) and new[-1] in closing_tokens(self._model)
        # Transformers may have looked a token further than the end
        told = tuple(logprobs[: len(new)])
        return Said(listener.text, new, "stop" if said_all else listener.stopped or "length", logprobs=told)

    def _usage(self, inputs: Encoded, said: Said) -> Usage:
        visual = self.preprocessor.family.visual(inputs.inputs["input_ids"])
        return Usage(
            visual_tokens=visual,
            text_tokens=inputs.tokens - visual,
            new_tokens=len(said.tokens),
            unreduced_visual_tokens=inputs.reduction and inputs.reduction.whole,
        )

    def _new_tokens(self, options: GenerationOptions) -> int:
        return longest_choice(self._tokenizer, options.choices) if options.choices else options.max_new_tokens

    def _constraint(self, options: GenerationOptions) -> Constraint | None:
        if options.response_format is None:
            return None
        return Constraint(
            options.response_format, self._vocabulary, self._token_index, ends=closing_tokens(self._model)
        )

    @property
    def _tokenizer(self) -> Any:
        return self.preprocessor.processor.tokenizer

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self._tokenizer)

    @cached_property
    def _token_index(self) -> Any:
        return token_index(self._vocabulary, self.info.id)

    def _say(
        self, prefill: Prefill, options: GenerationOptions, listener: Listener, constraint: Constraint | None
    ) -> Said:
        import torch

        prompt = prefill.arguments["input_ids"].shape[1]
        arguments = generate_arguments(options)
        if constraint is not None:
            arguments["logits_processor"] = [constraint]
        recorder = LogprobRecorder(self._vocabulary, options.top_logprobs or 0) if options.logprobs else None
        criteria = [listener] if recorder is None else [recorder, listener]
        with torch.inference_mode(), self._typed_errors(prompt):
            with (
                self._heeding.prefill_first(),
                self._seeded(options.seed),
                recorder.listening(self._model) if recorder else nullcontext(),
            ):
                out = self._model.generate(**prefill.arguments, **arguments, stopping_criteria=criteria)
            if listener.failure is not None:
                raise listener.failure
            self._prefiller.keep(prefill, out[0, prompt:].tolist())
        return self._heard(listener, out, prompt, recorder.tokens if recorder else ())

    def _choose(self, prefill: Prefill, choices: Sequence[str], on_text: OnText | None) -> Said:
        import torch

        prompt = prefill.arguments["input_ids"].shape[1]
        once = generate_arguments(GenerationOptions(max_new_tokens=1))
        with torch.inference_mode(), self._typed_errors(prompt), self._heeding.prefills():
            out = self._model.generate(**prefill.arguments, **once, output_logits=True, return_dict_in_generate=True)
            self._prefiller.keep(prefill, ())
            after = (
                after_prompt(self._model, without_cache(prefill.arguments))
                if prefill.cache is None
                else after_prefill(self._model, partial(self._prefiller.fork, prefill), prefill.position_ids)
            )
            scores = score_choices(self._tokenizer, choices, closing_tokens(self._model), out.logits[0][0], after)
        best = max(scores, key=lambda score: score.log_probability)
        if on_text is not None:
            on_text(best.text)
        return Said(best.text, (), "stop", scores)

    @contextmanager
    def _typed_errors(self, tokens: int) -> Generator[None]:
        """Has what the model raises say what to do."""
        import torch
        from torch._dynamo.exc import TorchDynamoException

        device = self._loaded.device
        before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise question_too_large(tokens, error, device, before) from error
            if isinstance(error, TorchDynamoException):
                raise ModelError(
                    f"{self.info.id} can't be compiled: {first_line(error)}",
                    hint="torch.compile needs a C++ compiler, and not every model can be compiled: leave out compile.",
                ) from error
            raise
        except ValueError as error:
            raise self.preprocessor.family.misfit(error) from error

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
