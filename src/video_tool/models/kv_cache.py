"""Keys and values of a prompt while the model reads and answers it.

Transformers' own cache joins all of them to new ones for each token: 200 MB or more, copied through memory for a prompt
of twelve frames, and as much for each further answer of a batch. Here there is room behind them for the tokens to come,
and a beginning that several answers share stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from video_tool.model_options import KVCache
from video_tool.models.prefix_cache import Layer

_SPARE = 64
"""Tokens that there is room for behind the prompt at first; each time that they are used up, twice as many follow."""

_STEPS = 127
"""Of an 8-bit number on either side of zero."""

_LEAST_SCALE = 1e-30
"""Of keys or values that are all zero."""


class GrowingLayer(DynamicLayer):
    """Keys and values of one layer, in memory that has room for more.

    Args:
        expected: tokens that are to come, as far as is known.

    Attributes:
        stored: what is kept of all tokens so far, (rows, heads, tokens, size) each; to be read only.
        attended: whether what `update` gave out has reached `attention.attend`; see `SharedLayer`.
        shared_tokens: how many tokens are not in what is stored, since all rows have them in common.
    """

    shared_tokens = 0

    def __init__(self, expected: int = 0) -> None:
        super().__init__()
        self.stored: Layer = ()
        self.attended = False
        self._expected, self._spare = expected, _SPARE
        self._memory: Layer = ()
        self._parts: Sequence[Layer] = ()
        self._length = 0

    def begin(self, parts: Sequence[Layer], length: int) -> None:
        """Has it begin with the first tokens of what another layer of this kind has stored.

        Args:
            parts: pieces that follow each other; they are read when the first further token comes, and not written to.
            length: how many of their tokens.
        """
        self._parts, self._length = parts, length

    def encode(self, states: torch.Tensor) -> Layer:
        """What is stored of keys, or of values."""
        return (states,)

    def decode(self, stored: Layer) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values of what is stored."""
        keys, values = stored
        return keys[...], values[...]  # what `update` writes on these is not to refer back from what is stored

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Puts keys and values of further tokens behind those that are there, and gives out all."""
        self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
        new = (*self.encode(key_states), *self.encode(value_states))
        end = self._length + key_states.shape[-2]
        if not self._memory or self._memory[0].shape[-2] < end:
            self._grow(new, end)
        for memory, each in zip(self._memory, new, strict=True):
            memory[..., self._length : end, :].copy_(each)
        self._show(end)
        return _marked(self, *self.decode(self.stored))

    def get_seq_length(self) -> int:
        return self._length

    def crop(self, tokens_to_remove: int) -> None:
        if self._memory:
            self._show(self._length - abs(tokens_to_remove))
        else:
            self._length -= abs(tokens_to_remove)

    def reset(self) -> None:
        self.__init__(self._expected)

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        self.batch_select_indices(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        self._memory = tuple(each.repeat_interleave(repeats, dim=0) for each in self._memory)
        self._show(self._length)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self._memory = tuple(each[indices.to(each.device)] for each in self._memory)
        self._show(self._length)

    def _grow(self, new: Layer, end: int) -> None:
        """Makes room for so many tokens and some more; what was there comes along."""
        room = max(end, self._expected) + self._spare
        parts = [self.stored] if self._memory else self._parts
        self._spare *= 2
        memory = tuple(each.new_empty((*each.shape[:-2], room, each.shape[-1])) for each in new)
        start = 0
        for part in parts:
            stop = min(start + part[0].shape[-2], self._length)
            for into, each in zip(memory, part, strict=True):
                into[..., start:stop, :].copy_(each[..., : stop - start, :])
            start = stop
        self._memory, self._parts = memory, ()

    def _show(self, length: int) -> None:
        self._length = length
        self.stored = tuple(each[..., :length, :] for each in self._memory)
        if self._memory:
            self.keys, self.values = self.stored[0], self.stored[len(self.stored) // 2]


class EightBitLayer(GrowingLayer):
    """Keys and values in 8 bits each, with a scale for each token and head.

    What is given out of new tokens has been through the 8 bits, too: what a prompt comes to does not depend on which of
    its tokens were read before.
    """

    def encode(self, states: torch.Tensor) -> Layer:
        """Whole numbers up to ±127, (rows, heads, tokens, size), and what one of them is worth, with size 1."""
        # bfloat16 has the range of all numbers that models calculate with
        scale = (states.abs().amax(-1, keepdim=True).float() / _STEPS).clamp_min(_LEAST_SCALE).bfloat16()
        return (states.float() / scale.float()).round_().clamp_(-_STEPS, _STEPS).to(torch.int8), scale

    def decode(self, stored: Layer) -> tuple[torch.Tensor, torch.Tensor]:
        keys, key_scale, values, value_scale = stored
        return keys.to(self.dtype) * key_scale.to(self.dtype), values.to(self.dtype) * value_scale.to(self.dtype)


class SharedLayer(DynamicLayer):
    """Keys and values of several answers that have their beginning in common: that is here once, and not written to.

    `update` gives out those behind the beginning alone, so the model's attention has to be `attention.attend`, and get
    them as they are: that it does so for a model is seen by `GrowingLayer.attended`.

    Args:
        stored: of the beginning, by a layer of this kind; (1, heads, tokens, size) each.
        own: an empty layer of the same kind, for what follows.
    """

    def __init__(self, stored: Layer, own: GrowingLayer) -> None:
        super().__init__()
        self._stored, self._own = stored, own

    @property
    def shared_tokens(self) -> int:
        """Tokens of the beginning."""
        return self._stored[0].shape[-2]

    @property
    def stored(self) -> Layer:
        """What is kept of each answer's own tokens."""
        return self._own.stored

    def beginning(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values that all have in common."""
        return self._own.decode(self._stored)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Puts keys and values of further tokens behind those that are there, and gives out those of each answer."""
        self.is_initialized = True
        return _marked(self, *self._own.update(key_states, value_states))

    def get_seq_length(self) -> int:
        return self.shared_tokens + self._own.get_seq_length()


def _marked(layer: DynamicLayer, keys: Any, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same, with the layer that gives them out written on the keys, for `attention.attend`."""
    keys.kept_by = layer
    return keys, values


LAYERS: dict[KVCache | None, type[GrowingLayer]] = {None: GrowingLayer, "8bit": EightBitLayer}
"""What keeps keys and values, by the option `kv_cache`."""
