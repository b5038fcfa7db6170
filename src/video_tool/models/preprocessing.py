"""From messages to what a model takes: prompt, tokens and pixels. Weights have no part in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from video_tool.answer import ModelKind
from video_tool.cancellation import acquire, check
from video_tool.errors import CheckpointError
from video_tool.frames import Frames
from video_tool.models.context import ContextWindow
from video_tool.models.families import family_of
from video_tool.models.resizing import frame_size, takes_apart
from video_tool.prompt import Message, Prompt, build_prompt, find_kind, has_template

if TYPE_CHECKING:
    import torch


class Preprocessor:
    """How one checkpoint is asked.

    Args:
        processor: the checkpoint's.
        config: the model's.
        kind: how the model wants to be asked; None finds it out.
        lock: held while the processor works, by all who share it.
        plugins: the distributions whose families are asked; None for all.

    Raises:
        CheckpointError: it takes neither videos nor images, or has no chat template and is to be asked by one.

    Attributes:
        processor: the checkpoint's.
        family: how it takes videos and images.
        kind: how the model wants to be asked.
        context_tokens: what prompt and answer may have together; None when the model does not say.
        frame_size: the size to which it resizes every frame, when it does nothing else before it scales the pixels.
        apart: whether it makes the same of an image whatever is beside it, and as many pixels of every one.
    """

    def __init__(
        self,
        processor: Any,
        config: Any,
        kind: ModelKind | None = None,
        lock: threading.RLock | None = None,
        plugins: Sequence[str] | None = None,
    ) -> None:
        self.processor = processor
        self._lock = lock or threading.RLock()
        self.family = family_of(processor, config, plugins)
        if kind not in (None, "base") and not has_template(processor):
            raise CheckpointError(
                "the checkpoint has no chat template, so it is a base model",
                hint="Ask it as one: leave out kind, or give kind='base'.",
            )
        self.kind: ModelKind = kind or find_kind(processor)
        images = self.family.style.takes == "images"
        self.frame_size = frame_size(processor) if images else None
        if self.frame_size is not None:
            self.family.resizes_images_to((self.frame_size.height, self.frame_size.width))
        self.apart = self.frame_size is not None or (images and takes_apart(processor))
        self.context_tokens: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
        self._window = ContextWindow(self.family, self.context_tokens, self.prompt)

    def prepare(self) -> None:
        """Does what the first question would wait for, and every question needs."""
        with self._lock:  # whoever leaves meanwhile: it belongs to loading, which goes on to its end
            self.family.prepare()

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """The text that stands for a conversation, and its media. Raises as `build_prompt` does."""
        with acquire(self._lock):
            return build_prompt(self.family.arrange(messages), self.processor, self.family.style, self.kind)

    def check_length(
        self,
        messages: Sequence[Message],
        new: int,
        tokens: int | None = None,
        fewer: Callable[[Prompt], int] = lambda _: 0,
    ) -> None:
        """Refuses what does not fit into the model's context. Of frames, number and size alone is looked at.

        Args:
            messages: the conversation.
            new: tokens that the answer may have.
            tokens: how many the prompt has, when that is known already.
            fewer: by how many tokens a prompt is shorter than what the processor makes of it.

        Raises:
            ContextLengthError: more tokens than the model can hold, or more frames of a video than it takes.
        """
        with acquire(self._lock):
            self._window.check(messages, new, tokens, fewer)

    def estimate(self, messages: Sequence[Message]) -> int:
        """About how many tokens a conversation has. Of frames, number and size alone is looked at."""
        with self._lock:
            return self.family.estimate(self.prompt(messages))

    def most_frames(self, messages: Sequence[Message], new: int) -> int | None:
        """About how many frames of each video fit into the model's context; None where there is no limit.

        Args:
            messages: a conversation with as many as are thought of.
            new: tokens that the answer may have.
        """
        with self._lock:
            return self._window.most_frames(messages, new)

    def encode(self, prompt: Prompt, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Any:
        """What the model takes: token ids, pixel values and the rest. Raises as `Family.encode` does.

        Args:
            prompt: text and media.
            device: where it goes.
            dtype: the pixels'; as the processor makes them by default.
        """
        with acquire(self._lock):
            inputs = self.family.encode(prompt)
        return self._placed(inputs, device, dtype)

    def encode_media(
        self,
        images: Sequence[NDArray[np.uint8]],
        videos: Sequence[Frames],
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> Any:
        """The same for media without words. Raises as `Family.encode_media` does."""
        with acquire(self._lock):
            inputs = self.family.encode_media(images, videos)
        return self._placed(inputs, device, dtype)

    def encode_words(self, text: str) -> Any:
        """The same for words without media, on the CPU."""
        with acquire(self._lock):
            return self.family.encode_words(text)

    @staticmethod
    def _placed(inputs: Any, device: torch.device | str, dtype: torch.dtype | None) -> Any:
        check()
        inputs = inputs.to(device)
        for name, value in inputs.items():
            # pixels, not numbers such as the seconds between frames
            if dtype is not None and getattr(value, "ndim", 0) > 1 and value.is_floating_point():
                inputs[name] = value.to(dtype)
        return inputs
