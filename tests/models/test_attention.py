"""Attention in two parts is PyTorch's attention over both, up to rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from video_tool.models import attention
from video_tool.models.kv_cache import EightBitLayer, GrowingLayer, SharedLayer

SHARED, OWN, SIZE = 40, 9, 16


class Module(torch.nn.Module):
    """What a model's attention is asked by: as many heads as it likes on each pair of keys and values."""

    is_causal = True

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.num_key_value_groups = groups


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, SIZE)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def answers(kind: type[GrowingLayer], rows: int, kv_heads: int) -> tuple[SharedLayer, GrowingLayer]:
    """A layer of several answers with one beginning, and one that holds that beginning for each of them."""
    first = kind()
    first.update(drawn(1, kv_heads, SHARED), drawn(1, kv_heads, SHARED))
    apart = kind()
    apart.begin([tuple(each.expand(rows, -1, -1, -1) for each in first.stored)], SHARED)
    return SharedLayer(first.stored, kind()), apart


def masks(rows: int, queries: int, tokens: int) -> dict[str, torch.Tensor | None]:
    """None, and what keeps each row from some of the first tokens behind the beginning, in both forms."""
    places = torch.arange(tokens)
    allowed = (places <= places[tokens - queries :, None]).expand(rows, 1, -1, -1).clone()
    for row in range(rows):
        allowed[row, :, :, SHARED : SHARED + row] = False
    return {"none": None, "bool": allowed, "float": torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)}


@pytest.mark.parametrize("kind", [GrowingLayer, EightBitLayer])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2)])
@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("mask", ["none", "bool", "float"])
@pytest.mark.parametrize("kernel", [True, False])
def test_a_shared_beginning(
    kind: type[GrowingLayer],
    heads: int,
    kv_heads: int,
    queries: int,
    mask: str,
    kernel: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, module = 3, Module(heads // kv_heads)
    shared, apart = answers(kind, rows, kv_heads)
    if not kernel:  # what other devices do, a few queries at a time
        monkeypatch.setattr(attention, "_HAVE_KERNEL", ())
        monkeypatch.setattr(attention, "_MOST_SCORES", 2 * kv_heads * SHARED)
    if mask == "none":  # a first pass with None has nothing before it
        for layer in (shared, apart):
            torch.manual_seed(1)
            layer.update(drawn(rows, kv_heads, OWN - 1), drawn(rows, kv_heads, OWN - 1))
        queries = 1
    new, query = (drawn(rows, kv_heads, queries), drawn(rows, kv_heads, queries)), drawn(rows, heads, queries)
    found: list[torch.Tensor] = []
    for layer in (shared, apart):
        keys, values = layer.update(*new)
        tokens = layer.get_seq_length()
        found.append(attention.attend(module, query, keys, values, masks(rows, queries, tokens)[mask])[0])
    assert shared.get_seq_length() == apart.get_seq_length()
    assert found[0].shape == (rows, queries, heads, SIZE)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_token_of_heads_that_share_keys(dtype: torch.dtype) -> None:
    query, keys, values = drawn(2, 6, 1).to(dtype), drawn(2, 2, OWN).to(dtype), drawn(2, 2, OWN).to(dtype)
    found, _ = attention.attend(Module(3), query, keys, values, None)
    expected = torch.nn.functional.scaled_dot_product_attention(query, keys, values, enable_gqa=True)
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_what_it_can_not_do_in_two_parts_is_seen_before() -> None:
    layer = GrowingLayer()
    keys, values = layer.update(drawn(1, 2, OWN), drawn(1, 2, OWN))
    given: dict[str, Any] = {"position_bias": torch.zeros(1, 2, OWN, OWN)}
    attention.attend(Module(1), drawn(1, 2, OWN), keys, values, None, **given)
    assert not layer.attended
    attention.attend(Module(1), drawn(1, 2, OWN), keys, values, None)
    assert layer.attended
