"""Fewer visual tokens than a model's frames have: neighbours averaged, or patches left out that did not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from video_tool.errors import QuestionError
from video_tool.models.expanding import Expander
from video_tool.models.features import Features
from video_tool.prompt import Prompt
from video_tool.question import VisualTokens

if TYPE_CHECKING:
    import torch

_CHANGED = 0.1
"""Of a pixel as the model takes it, mostly from −1 to 1: how far a patch's pixels have to be, in the mean, from what it
was last read as. VideoLLaMA3's pruner, https://arxiv.org/abs/2501.13106, has the measure and a default of 0.1. It
compares with the frame before, so that what changes slowly is never read again, and Transformers' counts in levels of
255: hardly anything that went through a codec stays below. From −1 to 1, 0.1 is 13 levels; codecs add less to still
pictures."""

_POOLED = 2
"""Tokens along each side that become one, as in LLaVA-OneVision, https://arxiv.org/abs/2408.03326, and
LLaVA-NeXT-Video."""


@dataclass(frozen=True)
class Reduction:
    """Which of its visual tokens a prompt keeps.

    Attributes:
        side: of each image's grid, in tokens.
        kept: of each image, the numbers of those that are kept, row by row; None where they are averaged.
        counts: of each image, how many there are afterwards.
    """

    side: int
    kept: tuple[tuple[int, ...], ...] | None
    counts: tuple[int, ...]

    @property
    def whole(self) -> int:
        """How many visual tokens there would be without it."""
        return self.side**2 * len(self.counts)

    def about(self, image: int) -> bytes:
        """Stands for what is done to an image; empty where all of it is kept."""
        kept = None if self.kept is None else self.kept[image]
        return b"" if kept is not None and len(kept) == self.side**2 else repr(kept).encode()

    def of(self, image: int, features: Features) -> Features:
        """What is left of an image's features."""
        kept = None if self.kept is None else list(self.kept[image])
        layers = (pooled(each, self.side) if kept is None else each[kept] for each in features.layers)
        return Features(tuple(layers), features.form)


class Reducer:
    """Makes prompts shorter whose visual tokens are a square grid of patches for each image, row by row.

    Args:
        model: of Transformers.
        expander: writes out prompts with as many tokens for each image as is wanted.
        encodes: whether the model can be given features in place of pixels.
    """

    def __init__(self, model: Any, expander: Expander, *, encodes: bool) -> None:
        self._config, self._name = model.config, type(model).__name__
        self._expander, self._encodes = expander, encodes

    def fewer(self, how: VisualTokens) -> Callable[[Prompt], int]:
        """By how many tokens a prompt gets shorter at the least, told by the number of its images.

        Raises:
            QuestionError: the model does not allow it.
        """
        if how == "all":
            return lambda _: 0
        side = self._checked_side(how)
        each = side**2 - _pooled_side(side) ** 2 if how == "pooled" else 0
        return lambda prompt: each * len(prompt.images)

    def reduction(self, prompt: Prompt, how: VisualTokens, pixels: torch.Tensor | None) -> Reduction:
        """Which of its visual tokens a prompt keeps.

        Args:
            prompt: with its images.
            how: `pooled` or `changed`.
            pixels: of all images, (images, 3, height, width), as the model takes them; needed for `changed`.

        Raises:
            QuestionError: the model does not allow it.
        """
        side = self._checked_side(how)
        if how == "pooled":
            return Reduction(side, None, (_pooled_side(side) ** 2,) * len(prompt.images))
        if pixels is None or {length // side for length in pixels.shape[2:]} != {self._patch}:
            raise self._refused(how)
        masks = changed(pixels, side, prompt.runs)
        kept = tuple(tuple(mask.nonzero().flatten().tolist()) for mask in masks)
        return Reduction(side, kept, tuple(map(len, kept)))

    @cached_property
    def _patch(self) -> int | None:
        """Pixels along a patch, where the vision tower is one that makes a token of each, from first to last."""
        size = getattr(getattr(self._config, "vision_config", None), "patch_size", None)
        return size if isinstance(size, int) else None

    @cached_property
    def _side(self) -> int | None:
        size = getattr(getattr(self._config, "vision_config", None), "image_size", None)
        if not self._encodes or self._patch is None or not isinstance(size, int):
            return None
        side = size // self._patch
        return side if self._expander.probed() == side**2 else None

    def _checked_side(self, how: VisualTokens) -> int:
        if self._side is None:
            raise self._refused(how)
        return self._side

    def _refused(self, how: VisualTokens) -> QuestionError:
        return QuestionError(
            f"visual_tokens is {how!r}, and {self._name} has no square grid of patches with a token for each",
            hint="Leave out visual_tokens: this model reads every frame whole. LLaVA-Interleave allows it.",
        )


def pooled(features: torch.Tensor, side: int) -> torch.Tensor:
    """The mean of each two by two tokens; of a last row or column that is left over, of as many as there are.

    Args:
        features: (side², size).
        side: of the grid.
    """
    from torch.nn.functional import avg_pool2d

    grid = features.T.reshape(1, -1, side, side)
    return avg_pool2d(grid, _POOLED, ceil_mode=True)[0].flatten(1).T


def changed(pixels: torch.Tensor, side: int, runs: Sequence[int]) -> list[torch.Tensor]:
    """Which patches of each image are not what they were when they were last read; (side²,) each.

    The first frame of each video is kept whole, and of every other one patch or more: that which changed most.

    Args:
        pixels: (images, 3, height, width), as the model takes them.
        side: patches along an image.
        runs: how many images in a row are frames of one video; 1 for an image by itself.
    """
    import torch

    length = pixels.shape[-1] // side
    cut = pixels[..., : side * length, : side * length].float()
    patches = cut.unflatten(-1, (side, length)).unflatten(-3, (side, length)).permute(0, 2, 4, 1, 3, 5)
    patches = patches.flatten(3).flatten(1, 2)
    masks: list[torch.Tensor] = []
    for frames in patches.split(list(runs)):
        last = frames[0].clone()
        masks.append(torch.ones(len(last), dtype=torch.bool, device=last.device))
        for frame in frames[1:]:
            by = (frame - last).abs().mean(-1)
            mask = by > _CHANGED
            mask[by.argmax()] = True
            last[mask] = frame[mask]
            masks.append(mask)
    return masks


def _pooled_side(side: int) -> int:
    return -(-side // _POOLED)
