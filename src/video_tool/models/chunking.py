"""Long prompts go through the model in parts: what its layers are at takes memory for each token of a pass."""

from __future__ import annotations

from collections.abc import Collection
from inspect import signature
from math import ceil
from typing import Any

CHUNK = 4096
"""Tokens that go through the model at once. In the shape of Qwen2 0.5B, what a layer is at takes 85 KB for each."""

LONG = 16384
"""Tokens up to which a prompt is read at once: in parts, attention takes a mask, and costs some more on a CPU."""

_DIVIDES_MEDIA = (5, 23)
"""The first Transformers that gives each part of a prompt its own media."""


def chunks(model: Any, tokens: int, media: Collection[str]) -> int:
    """In how many parts a prompt is to go through the model.

    Args:
        model: of Transformers.
        tokens: those of the prompt that the model has not read yet.
        media: names of what `generate` is given for the videos and images among them.
    """
    return ceil(tokens / CHUNK) if tokens > LONG and can_divide(model, media) else 1


def can_divide(model: Any, media: Collection[str]) -> bool:
    """Whether `generate` can read a prompt with such media in parts: it has to know which rows of what the vision tower
    makes of them belong to each part.
    """
    if not media:
        return True
    if _transformers() < _DIVIDES_MEDIA or not model._supports_mm_encoder_outputs():
        return False
    taken = {"mm_encoder_outputs"}
    for modality in ("image", "video"):
        encode = getattr(model.base_model, f"get_{modality}_features", None)
        if encode is not None and getattr(model.config, f"{modality}_token_id", None) is not None:
            taken |= signature(encode).parameters.keys()
    return taken >= set(media)


def _transformers() -> tuple[int, ...]:
    from transformers import __version__

    return tuple(int(part) for part in __version__.split(".")[:2])
