"""Keys and values of prompts that were answered, for the next prompt that begins the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from video_tool.models.prefix_keys import common_length

if TYPE_CHECKING:
    import torch

Tokens = NDArray[np.int64]
"""What each token stands for, as `PrefixKeys` tells it."""

Layer: TypeAlias = "tuple[torch.Tensor, ...]"
"""What is stored of the keys and values of one layer, (1, heads, tokens, size) each; see `GrowingLayer.encode`."""

_MOSTLY = 0.75
"""A slice of this share of its memory stays where it is; a smaller one is copied, and the rest is given back."""


@dataclass(eq=False)
class _Segment:
    """Tokens that follow each other, of one prompt or of several.

    Attributes:
        tokens: what they stand for.
        layers: their keys and values.
        parent: the segment before them; None for the root alone.
        children: what follows, by its first token.
        used: when it was last of use, by the cache's own count.
    """

    tokens: Tokens
    layers: list[Layer]
    parent: _Segment | None
    children: dict[int, _Segment] = field(default_factory=dict["int", "_Segment"])
    used: int = 0

    def path(self) -> list[_Segment]:
        """From the first segment to this one, without the root."""
        return [] if self.parent is None else [*self.parent.path(), self]

    @property
    def bytes(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for layer in self.layers for tensor in layer)


class PrefixCache:
    """A tree of segments: prompts share what they begin with, and part where they differ.

    It belongs to weights that are in memory, so what it keeps was made by one revision in one dtype, with one kind of
    attention. Not for several threads at once: whoever has the weights answer has it, too.

    Attributes:
        hits: how many questions found the beginning of their prompt.
        misses: how many did not.
        bytes: what it takes of the memory of the model's devices.
    """

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.bytes = 0
        self._root = self._new_root()
        self._clock = 0

    def shared(self, tokens: Tokens) -> int:
        """How many tokens of a prompt are here from its beginning on."""
        return self._walk(tokens)[1]

    def take(self, tokens: Tokens) -> list[list[Layer]]:
        """The keys and values of tokens that are all here, for each layer; to be read only.

        They are in pieces that follow each other, of which the last may go on behind these tokens.
        """
        last, found = self._walk(tokens)
        if found < len(tokens):
            raise KeyError("not all of these tokens are in the cache")
        path = last.path()
        self._clock += 1
        for segment in path:
            segment.used = self._clock
        return [[segment.layers[number] for segment in path] for number in range(len(path[0].layers))]

    def keep(self, tokens: Tokens, layers: Sequence[Layer], budget: int) -> None:
        """Keeps the keys and values of a prompt, and of what was said to it.

        Args:
            tokens: what they stand for.
            layers: of each layer, of as many tokens or more; not to be written to any more.
            budget: bytes that the cache may have in all; the least recently used make room. What does not fit by
                itself is not kept.
        """
        self._clock += 1
        segment, found = self._walk(tokens)
        self._split(segment, found)
        if found < len(tokens):
            start = found
            if segment.parent is not None and not segment.children:  # nobody else went on from there: it becomes longer
                start -= len(segment.tokens)
            lead = segment.path() if start == found else segment.path()[:-1]
            if sum(each.bytes for each in lead) + _size(layers, len(tokens) - start) > budget:
                self.trim(budget)  # what was split takes a little more than before
                return
            new = _cut(layers, start, len(tokens))
            if start < found:
                self._count(segment, -1)
                segment.tokens, segment.layers = tokens[start:], new
            else:
                segment.children[int(tokens[start])] = segment = _Segment(tokens[start:], new, segment)
            self._count(segment, 1)
        for each in segment.path():
            each.used = self._clock
        self.trim(budget)

    def trim(self, budget: int) -> None:
        """Lets go of the least recently used until no more than so many bytes are kept."""
        while self.bytes > budget:
            oldest = min((each for each in self._segments() if not each.children), key=lambda each: each.used)
            self._count(oldest, -1)
            if oldest.parent is not None:
                del oldest.parent.children[int(oldest.tokens[0])]
            oldest.parent = None

    def clear(self) -> None:
        """Lets go of everything."""
        self._root, self.bytes = self._new_root(), 0

    def _walk(self, tokens: Tokens) -> tuple[_Segment, int]:
        """The last segment of which something fits, and how many tokens fit in all."""
        segment, found = self._root, 0
        while found < len(tokens):
            following = segment.children.get(int(tokens[found]))
            if following is None:
                break
            same = common_length(following.tokens, tokens[found:])
            segment, found = following, found + same
            if same < len(segment.tokens):
                break
        return segment, found

    def _split(self, segment: _Segment, found: int) -> None:
        """Makes a segment end where the first `found` tokens do; what it had behind that follows it."""
        before = sum(len(each.tokens) for each in segment.path()[:-1])
        at, whole = found - before, len(segment.tokens)
        if segment.parent is None or at == whole:
            return
        self._count(segment, -1)
        tail = _Segment(segment.tokens[at:], _cut(segment.layers, at, whole), segment, segment.children, segment.used)
        for child in tail.children.values():
            child.parent = tail
        segment.tokens, segment.layers = segment.tokens[:at], _cut(segment.layers, 0, at)
        segment.children = {int(tail.tokens[0]): tail}
        self._count(segment, 1)
        self._count(tail, 1)

    def _segments(self) -> Iterator[_Segment]:
        waiting = [*self._root.children.values()]
        while waiting:
            segment = waiting.pop()
            waiting.extend(segment.children.values())
            yield segment

    def _count(self, segment: _Segment, sign: int) -> None:
        self.bytes += sign * segment.bytes

    @staticmethod
    def _new_root() -> _Segment:
        return _Segment(np.empty(0, np.int64), [], None)


def _size(layers: Sequence[Layer], count: int) -> int:
    """Bytes of so many tokens."""
    return sum(each[..., :count, :].numel() * each.element_size() for layer in layers for each in layer)


def _cut(layers: Sequence[Layer], start: int, stop: int) -> list[Layer]:
    return [tuple(_slice(each, start, stop) for each in layer) for layer in layers]


def _slice(tensor: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Tokens of a tensor; in memory of their own, unless they are most of what its memory holds."""
    part = tensor[..., start:stop, :]
    most = part.numel() * part.element_size() >= _MOSTLY * tensor.untyped_storage().nbytes()
    return part if most else part.clone()
