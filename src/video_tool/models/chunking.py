"""Long prompts go through the model in parts: what its layers are at takes memory for each token of a pass."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CHUNK = 4096
"""Tokens that go through the model at once. In the shape of Qwen2 0.5B, what a layer is at takes 85 KB for each."""

LONG = 16384
"""Tokens up to which a prompt is read at once: in parts, attention takes a mask, and costs some more on a CPU."""

_DIVIDES_MEDIA = (5, 23)
"""The first Transformers that gives each part of a prompt its own media."""


def can_divide(model: Any, ids: torch.Tensor, media: Mapping[str, Any], visual: int) -> bool:
    """Whether `generate` gives the same for a prompt in parts.

    It has to know which rows of what the vision tower makes of videos and images belong to each part. It goes by the
    token that the model's configuration names for either, and some models have another in its place.

    Args:
        model: of Transformers.
        ids: the tokens that the model has not read yet, (1, tokens).
        media: what `generate` is given for the videos and images among them.
        visual: how many of these tokens stand for something of those.
    """
    if not media:
        return True
    if _transformers() < _DIVIDES_MEDIA or not model._supports_mm_encoder_outputs():
        return False
    known, found = {"mm_encoder_outputs"}, 0
    for modality in ("image", "video"):
        encode = getattr(model.base_model, f"get_{modality}_features", None)
        taken = set() if encode is None else signature(encode).parameters.keys() & media.keys()
        if taken or modality in media.get("mm_encoder_outputs", ()):
            token = getattr(model.config, f"{modality}_token_id", None)
            count = 0 if token is None else int((ids == token).sum())
            if count == 0:
                return False
            known |= taken
            found += count
    return known >= media.keys() and found == visual


def _transformers() -> tuple[int, ...]:
    from transformers import __version__

    return tuple(int(part) for part in __version__.split(".")[:2])
