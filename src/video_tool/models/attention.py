"""PyTorch's attention as Transformers calls it, where we know a better way to call it.

For a single token on a CPU, the heads that share keys and values are put into one matrix: handed over one by one
(`enable_gqa`), PyTorch 2.13 takes up to six times as long in bfloat16. Answers that share a beginning (`SharedLayer`)
are attended to in two parts, the queries of all in one matrix for the part they share, which are then weighed against
each other as in FlashAttention (https://arxiv.org/abs/2205.14135) and Hydragen (https://arxiv.org/abs/2402.05099).
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from video_tool.models.kv_cache import GrowingLayer, SharedLayer

NAME = "video_tool_sdpa"
"""What it is called among Transformers' kinds of attention."""

_HAVE_KERNEL = ("cpu",)
"""Where PyTorch tells what the exponentials of scores sum up to."""

_MOST_SCORES = 1 << 26
"""Numbers: how many scores are in memory at once elsewhere."""


def install(model: Any) -> None:
    """Has a model's text attend by this, where it would have by PyTorch's attention.

    Args:
        model: of Transformers.
    """
    config = model.config.get_text_config(decoder=True)
    if config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        config._attn_implementation = NAME


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What tokens gather from those before them.

    Args:
        module: of the model.
        query: (rows, heads, queries, size).
        key: (rows, heads or fewer, tokens, size), as a cache's layer gave it out.
        value: likewise.
        attention_mask: (rows, 1, queries, tokens), True or 0 where a query sees a token; None where each sees all
            before it.
        dropout: 0 where nothing is learned.
        scaling: what scores are multiplied with.
        others: for Transformers' own function.

    Returns:
        (rows, queries, heads, size).
    """
    layer = getattr(key, "kept_by", None)
    plain = dropout == 0 and others.get("position_bias") is None and others.get("softcap") is None
    if isinstance(layer, GrowingLayer):
        layer.attended = plain
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if isinstance(layer, SharedLayer):
        return _attend_in_two(query, *layer.beginning(), key, value, attention_mask, scale), None
    single = query.shape[2] == 1 and query.shape[1] > key.shape[1] and query.device.type == "cpu"
    if single and plain and attention_mask is None:
        packed = query.reshape(query.shape[0], key.shape[1], -1, query.shape[-1])
        out = torch.nn.functional.scaled_dot_product_attention(packed, key, value, scale=scale)
        return out.reshape(query.shape[0], 1, query.shape[1], value.shape[-1]), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **others)


def _attend_in_two(
    query: torch.Tensor,
    shared_keys: torch.Tensor,
    shared_values: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
) -> torch.Tensor:
    rows, heads, queries, size = query.shape
    kv_heads, tokens = keys.shape[1], keys.shape[2]
    # (kv_heads, …): all queries that look at the same keys follow each other
    packed = query.reshape(rows, kv_heads, -1, size).transpose(0, 1).reshape(1, kv_heads, -1, size)
    before, weight_before = _attend_to_all(packed, shared_keys, shared_values, scale)
    before = before.reshape(kv_heads, rows, -1, values.shape[-1]).transpose(0, 1).float()
    weight_before = weight_before.reshape(kv_heads, rows, -1, 1).transpose(0, 1)
    own = query.reshape(rows, kv_heads, -1, size).float() @ keys.float().mT * scale
    own = _masked(own.reshape(rows, kv_heads, -1, queries, tokens), mask).reshape(rows, kv_heads, -1, tokens)
    weight = torch.logaddexp(weight_before, own.logsumexp(-1, keepdim=True))
    out = before * (weight_before - weight).exp() + (own - weight).exp() @ values.float()
    return out.reshape(rows, heads, queries, -1).transpose(1, 2).to(query.dtype).contiguous()


def _masked(scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Scores, (rows, …, queries, tokens), of which those are −∞ that the mask of more tokens before them forbids."""
    queries, tokens = scores.shape[-2:]
    if mask is None:
        places = torch.arange(tokens, device=scores.device)
        mask = places <= places[tokens - queries :, None]
    else:
        mask = mask[..., -tokens:].unsqueeze(2)
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -torch.inf)
    return scores + mask


def _attend_to_all(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention without a mask, and the logarithm of what the scores' exponentials sum up to, (1, heads, queries)."""
    if query.device.type in _HAVE_KERNEL and keys.shape[-1] == values.shape[-1]:
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        found: tuple[torch.Tensor, torch.Tensor] = flash(query, keys, values, 0.0, False, scale=scale)
        return found
    at_once = max(1, _MOST_SCORES // (keys.shape[1] * keys.shape[2]))
    parts: list[tuple[torch.Tensor, torch.Tensor]] = []
    for some in query.split(at_once, dim=2):
        scores = some.float() @ keys.float().mT * scale
        weight = scores.logsumexp(-1)
        parts.append(((scores - weight[..., None]).exp_() @ values.float(), weight))
    return torch.cat([out for out, _ in parts], dim=2), torch.cat([weight for _, weight in parts], dim=2)
