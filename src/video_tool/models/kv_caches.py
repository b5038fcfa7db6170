"""Caches of keys and values: empty ones, and those that begin with what is known of one prompt or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from video_tool.model_options import KVCache
from video_tool.models.free_memory import free_bytes
from video_tool.models.prefix_cache import Layer

if TYPE_CHECKING:
    import torch

_HALF = 0.5
"""Of the memory that is free: the rest is for what layers are at, and for a layer's keys and values while they grow."""


@dataclass(frozen=True)
class Beginning:
    """Tokens of a prompt whose keys and values are known.

    Attributes:
        cache: holds the first of them, and perhaps others behind, of another prompt.
        cut: how many of them.
        tail: what is stored of those that follow, for each layer; (1, heads, tokens, size) each.
    """

    cache: Any
    cut: int
    tail: Sequence[Layer] = ()

    @property
    def length(self) -> int:
        """Of how many tokens."""
        return self.cut + (self.tail[0][0].shape[-2] if self.tail else 0)

    def stored(self, layer: int, start: int) -> Layer:
        """What one layer has of these from a token on, which is none of the tail."""
        import torch

        first = tuple(each[..., start : self.cut, :] for each in self.cache.layers[layer].stored)
        if not self.tail:
            return first
        return tuple(torch.cat(parts, dim=-2) for parts in zip(first, self.tail[layer], strict=True))


class KVCaches:
    """Makes the caches of one model.

    Args:
        model: of Transformers.
        device: where it is.
        kind: how keys and values are made smaller; None for as they are.
    """

    def __init__(self, model: Any, device: torch.device, kind: KVCache | None) -> None:
        self._model, self._device = model, device
        self._kind: KVCache | None = kind

    @property
    def smaller(self) -> bool:
        """Whether they take less memory than those that `generate` of Transformers makes by itself."""
        return self._kind is not None

    def new(self, expected: int, beginning: Sequence[Sequence[Layer]] = (), length: int = 0) -> Any:
        """A cache for a prompt of so many tokens and its answer.

        Args:
            expected: tokens of the prompt.
            beginning: pieces of what is known of its first tokens, one behind the other, for each layer.
            length: how many tokens these are.
        """
        from video_tool.models.kv_cache import LAYERS

        cache = default_cache(self._model)
        cache.layers = [LAYERS[self._kind](expected) for _ in cache.layers]
        for layer, parts in zip(cache.layers, beginning, strict=bool(beginning)):
            layer.begin(parts, length)
        return cache

    def joined(self, beginnings: Sequence[Beginning]) -> Any:
        """A cache that holds beginnings, one in a row; what is missing to the longest is in front of the others.

        What all of them share is there once, where the model's attention can do with that.
        """
        from video_tool.models.kv_cache import SharedLayer

        cache = self.new(0)
        cut = _shared(beginnings)
        longest = max(each.length for each in beginnings)
        for number, layer in enumerate(cache.layers):
            if cut:
                cache.layers[number] = SharedLayer(_until(beginnings[0].cache.layers[number].stored, cut), layer)
            if longest > cut:
                rows = [each.stored(number, cut) for each in beginnings]
                layer.begin([_stacked(rows, longest - cut)], longest - cut)
        return cache

    def most_rows(self, beginnings: Sequence[Beginning], tokens: int) -> int:
        """How many answers at once fit into half of the memory that is free.

        Args:
            beginnings: what is known of them.
            tokens: of each, in the end.
        """
        stored = [each for layer in beginnings[0].cache.layers for each in layer.stored]
        each = sum(tensor[:, :, :1].numel() * tensor.element_size() for tensor in stored)
        return max(1, int(_HALF * free_bytes(self._device)) // (each * (tokens - _shared(beginnings))))


def picked(cache: Any, row: int, parts: Sequence[slice]) -> list[Layer]:
    """What a cache has of parts of one row, which follow each other; for each layer.

    Args:
        cache: as `KVCaches.joined` gave it, and further tokens in it.
        row: whose.
        parts: of all its tokens; none of them of what all rows share.
    """
    import torch

    def of(tensor: torch.Tensor, before: int) -> torch.Tensor:
        places = torch.arange(before + tensor.shape[-2])
        chosen = torch.cat([places[part] for part in parts]) - before
        return tensor[row : row + 1, :, chosen.to(tensor.device)]

    return [tuple(of(each, layer.shared_tokens) for each in layer.stored) for layer in cache.layers]


def default_cache(model: Any) -> Any:
    """A cache as `generate` of Transformers makes it."""
    from transformers import DynamicCache

    return DynamicCache(config=model.config.get_text_config(decoder=True))


def _shared(beginnings: Sequence[Beginning]) -> int:
    """How many tokens all have of one cache that need to be there only once."""
    first, *others = beginnings
    # whether all that is in it has gone through our own attention, which can do with that
    attended = all(layer.attended for layer in first.cache.layers)
    if any(each.cache is not first.cache for each in others) or not attended:
        return 0
    return min(each.cut for each in beginnings)


def _until(stored: Layer, cut: int) -> Layer:
    return tuple(each[..., :cut, :] for each in stored)


def _stacked(rows: Sequence[Layer], length: int) -> Layer:
    """What a layer has stored for each of several rows, with as much before it as is missing to a length."""
    import torch
    from torch.nn.functional import pad

    return tuple(
        torch.cat([pad(each, (0, 0, length - each.shape[-2], 0)) for each in parts])
        for parts in zip(*rows, strict=True)
    )
