"""Models run by Hugging Face Transformers."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_tool.answer import ModelInfo, Usage
from video_tool.errors import CheckpointError, ContextLengthError, OutOfMemoryError, PlaceholderError
from video_tool.models.base import Generation, OnText, Said
from video_tool.models.choosing import closing_tokens, longest_choice, score_choices
from video_tool.models.families import template_style
from video_tool.models.hardware import Hardware
from video_tool.models.listening import Listener
from video_tool.models.loading import first_line, load
from video_tool.models.options import generate_arguments
from video_tool.models.resizing import frame_size
from video_tool.progress import OnProgress
from video_tool.prompt import Message, Prompt, TemplateStyle, build_prompt
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch


class TransformersModel:
    """A `VideoLanguageModel` loaded through Transformers. Raises as `loading.load` does."""

    def __init__(self, model: str | Path, revision: str | None, hardware: Hardware) -> None:
        loaded = load(model, revision, hardware)
        self._model, self.processor = loaded.model, loaded.processor
        self.style: TemplateStyle = template_style(self.processor)
        self.frame_size = frame_size(self.processor) if self.style.takes == "images" else None
        self.turn = threading.Lock()
        config = self._model.config
        self.info = ModelInfo(
            id=str(model),
            revision=loaded.revision,
            device=str(self._model.device),
            dtype=str(self._model.dtype).removeprefix("torch."),
            attention=str(config._attn_implementation),
            takes=self.style.takes,
        )

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
            QuestionError: words can't be kept from being read as tokens.
            CheckpointError: the processor's configuration does not fit the model.
            ContextLengthError: prompt and answer are longer than the model's context.
            OutOfMemoryError: the device does not hold the question.
        """
        asked = time.perf_counter()
        prompt = build_prompt(messages, self.processor, self.style)
        inputs = self.encode(prompt)
        ids: torch.Tensor = inputs["input_ids"]
        visual = self._visual_tokens(ids)
        if (prompt.images or prompt.videos) and not visual:
            raise PlaceholderError(
                f"{type(self.processor).__name__} dropped the videos and images from the prompt",
                hint="The checkpoint's processor does not know its own placeholders: use another checkpoint.",
            )
        tokenizer = self.processor.tokenizer
        new = longest_choice(tokenizer, options.choices) if options.choices else options.max_new_tokens
        self._check_length(prompt, ids.shape[1], visual, new)
        encoded = time.perf_counter()
        if options.choices:
            said = self._choose(inputs, options.choices, on_text)
        else:
            said = self._say(
                inputs, options, Listener(tokenizer, ids.shape[1], options, self.info.id, on_progress, on_text)
            )
        usage = Usage(visual_tokens=visual, text_tokens=ids.shape[1] - visual, new_tokens=len(said.tokens))
        return Generation(said, usage, encoded - asked, time.perf_counter() - encoded)

    def _say(self, inputs: Any, options: GenerationOptions, listener: Listener) -> Said:
        import torch

        prompt = inputs["input_ids"].shape[1]
        with torch.inference_mode(), self._typed_errors(prompt), self._seeded(options.seed):
            out = self._model.generate(**inputs, **generate_arguments(options), stopping_criteria=[listener])
        if listener.failure is not None:
            raise listener.failure
        listener.finish(out)
        new = tuple(out[0, prompt:].tolist())
        said_all = bool(new) and new[-1] in closing_tokens(self._model)
        return Said(listener.text, new, "stop" if said_all else listener.stopped or "length")

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
            raise self._misfit(error) from error

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

    def encode(self, prompt: Prompt) -> Any:
        """What the model takes: token ids and pixel values, on its device.

        Raises:
            CheckpointError: the processor's configuration does not fit the model.
        """
        from PIL import Image

        media: dict[str, Any] = {}
        if prompt.images:
            media["images"] = [Image.fromarray(image) for image in prompt.images]
        if prompt.videos:
            media["videos"] = [list(video.images) for video in prompt.videos]
            # the frames are chosen already: the processor must neither drop nor repeat any
            media["do_sample_frames"] = False
            media["video_metadata"] = [
                {
                    "total_num_frames": video.info.total_frames,
                    "fps": video.info.fps,
                    "duration": video.info.duration,
                    "frames_indices": list(video.indices),
                    "width": video.info.width,
                    "height": video.info.height,
                }
                for video in prompt.videos
            ]
        first = self.processor.tokenizer.bos_token
        # a template that writes the opening token itself must not get a second one
        special = {"add_special_tokens": False} if first and prompt.text.startswith(first) else {}
        try:
            inputs = self.processor(text=prompt.text, return_tensors="pt", **media, **special)
        except (TypeError, ValueError) as error:
            raise self._misfit(error) from error
        return inputs.to(self._model.device, dtype=self._model.dtype)

    def _misfit(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"{self.info.id}: {type(self.processor).__name__} and the model do not fit together: {first_line(error)}",
            hint="The checkpoint's processor configuration is incomplete or another model's: use another checkpoint.",
        )

    def _visual_tokens(self, ids: torch.Tensor) -> int:
        names = ("image_token_id", "video_token_id")
        tokens = {getattr(self._model.config, name, None) for name in names}
        return sum(int((ids == token).sum()) for token in tokens if token is not None)

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
