"""Which models, and which prompts, can go on from keys and values of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from video_tool.models.kv_caches import default_cache


def why_unfit(model: Any) -> str | None:
    """Why a model can't go on from keys and values; None where it can. Told by the model, whatever it is called."""
    from transformers.cache_utils import DynamicLayer

    text = model.config.get_text_config()
    if model.is_remote_code():
        return "the model runs code of its own"
    if model.config.is_encoder_decoder or not model._supports_default_dynamic_cache():
        return "the model keeps something else than keys and values"
    if model.generation_config.cache_implementation is not None or model.generation_config.use_cache is False:
        return "the checkpoint asks for a cache of another kind"
    if getattr(text, "use_bidirectional_attention", None) or getattr(text, "is_causal", True) is False:
        return "the model's attention looks ahead"
    if any(type(layer) is not DynamicLayer for layer in default_cache(model).layers):
        return "the model forgets, so it can't go back to an earlier token"
    return None


def steered(inputs: Mapping[str, Any]) -> str | None:
    """Why this prompt can't be divided: which kind each token is of steers what it attends to, behind it, too."""
    return "the model's attention looks ahead" if "token_type_ids" in inputs else None
