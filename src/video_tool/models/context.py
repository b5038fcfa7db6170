"""Whether a prompt fits into a model's context, told before its frames are decoded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from video_tool.errors import ContextLengthError
from video_tool.models.families import Family
from video_tool.prompt import Message, Prompt

Fewer: TypeAlias = Callable[[Prompt], int]
"""By how many tokens a prompt is shorter than what the processor makes of it."""

_DOUBT = 0.1
"""Of the room: estimates that are as near to it are looked into. What processors write round frames and between them
differs a little from what it was when it was counted."""

_STEP = 997
"""Bytes by which one stand-in is ahead of the one before: no two frames are alike."""


class ContextWindow:
    """What prompt and answer may have together. Of frames, number and size alone are looked at, not what they show.

    Args:
        family: how media become tokens.
        tokens: what prompt and answer may have together; None when the model does not say.
        write: makes the prompt of messages.
    """

    def __init__(self, family: Family, tokens: int | None, write: Callable[[Sequence[Message]], Prompt]) -> None:
        self.tokens = tokens
        self._family = family
        self._write = write

    def check(self, messages: Sequence[Message], new: int, tokens: int | None, fewer: Fewer) -> None:
        """Refuses what does not fit; `Preprocessor.check_length` describes it."""
        self._check_frames(messages)
        fits = (
            self._fits(messages, new, fewer) if tokens is None else self.tokens is None or tokens + new <= self.tokens
        )
        if not fits:
            raise self._too_long(messages, new, fewer)

    def most_frames(self, messages: Sequence[Message], new: int) -> int | None:
        """How many frames of each video fit, by estimate, of those that there are; None where there are no limits."""
        most = _most_frames(messages)
        if self._family.max_frames is not None:
            most = min(most, self._family.max_frames)
        elif self.tokens is None:
            return None
        if self.tokens is None:
            return most
        room = self.tokens - new

        def too_many(count: int) -> bool:
            return self._family.estimate(self._write(_thinned(messages, count))) > room

        return bisect_left(range(1, most + 1), 1, key=too_many)

    def _check_frames(self, messages: Sequence[Message]) -> None:
        most = _most_frames(messages)
        ceiling = self._family.max_frames
        if ceiling is not None and most > ceiling:
            raise ContextLengthError(
                f"there are {most} frames of a video, and the model takes up to {ceiling}",
                hint=f"Lower num_frames to {ceiling}.",
                max_frames=ceiling,
            )

    def _too_long(self, messages: Sequence[Message], new: int, fewer: Fewer) -> ContextLengthError:
        numbers = range(1, _most_frames(messages))  # of frames; fewer never take more tokens
        fitting = bisect_left(numbers, 1, key=lambda count: not self._fits(_thinned(messages, count), new, fewer))
        prompt = self._write(messages)
        tokens = self._family.estimate(prompt) - fewer(prompt)
        doubtful = self._doubtful(tokens, new)
        if doubtful:
            tokens = self._count(prompt) - fewer(prompt)
        return ContextLengthError(
            f"the prompt is {'' if doubtful else 'about '}{tokens} tokens and the answer up to {new}; "
            f"the model's context holds {self.tokens}",
            hint=f"Lower num_frames to {fitting}: no more frames of each video fit."
            if fitting
            else "Ask about fewer videos and images, shorten the question, or lower max_new_tokens.",
            max_frames=fitting,
        )

    def _fits(self, messages: Sequence[Message], new: int, fewer: Fewer) -> bool:
        if self.tokens is None:
            return True
        prompt = self._write(messages)
        tokens = self._family.estimate(prompt) - fewer(prompt)
        if self._doubtful(tokens, new):
            tokens = self._count(prompt) - fewer(prompt)
        return tokens + new <= self.tokens

    def _doubtful(self, tokens: int, new: int) -> bool:
        room = (self.tokens or 0) - new
        return abs(tokens - room) < _DOUBT * room

    def _count(self, prompt: Prompt) -> int:
        """All tokens of a prompt, as the processor makes them."""
        images = tuple(_noise((1, *image.shape))[0] for image in prompt.images)
        videos = tuple(replace(video, images=_noise(video.images.shape)) for video in prompt.videos)
        return int(self._family.encode(replace(prompt, images=images, videos=videos))["input_ids"].shape[1])


def _most_frames(messages: Sequence[Message]) -> int:
    return max((len(video.images) for message in messages for video in message.videos), default=0)


def _thinned(messages: Sequence[Message], count: int) -> list[Message]:
    """With no more than so many frames of each video."""
    return [message.with_videos(lambda video: video.thinned(count)) for message in messages]


def _noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Frames (frames, height, width, 3) of which none is like another, in the memory of one.

    Of black ones, processors that leave out what stays the same would make fewer tokens.
    """
    count, height, width, _ = shape
    grains = np.random.default_rng(0).integers(0, 256, height * width * 3 + count * _STEP, np.uint8)
    return as_strided(grains, shape, (_STEP, width * 3, 3, 1), writeable=False)
