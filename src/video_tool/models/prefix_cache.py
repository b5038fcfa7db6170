"""Keys and values of prompts that were answered, for the next prompt that begins the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
        spilled: whether it is in main memory instead of the device's; what follows it is there, too.
    """

    tokens: Tokens
    layers: list[Layer]
    parent: _Segment | None
    children: dict[int, _Segment] = field(default_factory=dict["int", "_Segment"])
    used: int = 0
    spilled: bool = False

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
        spilled: what it takes of main memory besides.
    """

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.bytes = 0
        self.spilled = 0
        self._root = self._new_root()
        self._clock = 0

    def shared(self, tokens: Tokens) -> int:
        """How many tokens of a prompt are here from its beginning on."""
        return self._walk(tokens)[1]

    def take(self, tokens: Tokens) -> list[list[Layer]]:
        """The keys and values of tokens that are all here, for each layer; to be read only.

        They are in pieces that follow each other, of which the last may go on behind these tokens, and each may be in
        main memory.
        """
        last, found = self._walk(tokens)
        if found < len(tokens):
            raise KeyError("not all of these tokens are in the cache")
        path = last.path()
        self._clock += 1
        for segment in path:
            segment.used = self._clock
        return [[segment.layers[number] for segment in path] for number in range(len(path[0].layers))]

    def keep(self, tokens: Tokens, layers: Sequence[Layer], budget: int, spill: int = 0) -> None:
        """Keeps the keys and values of a prompt, and of what was said to it.

        Args:
            tokens: what they stand for.
            layers: of each layer, of as many tokens or more; not to be written to any more.
            budget: bytes that the cache may have in all; the least recently used make room. What does not fit by
                itself is not kept.
            spill: bytes of main memory that it may have besides, for what has to make room.
        """
        self._clock += 1
        segment, found = self._walk(tokens)
        self._split(segment, found)
        self._recall(segment, layers)
        if found < len(tokens):
            start = found
            if segment.parent is not None and not segment.children:  # nobody else went on from there: it becomes longer
                start -= len(segment.tokens)
            lead = segment.path() if start == found else segment.path()[:-1]
            if sum(each.bytes for each in lead) + _size(layers, len(tokens) - start) > budget:
                self.trim(budget, spill)  # what was split takes a little more than before
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
        self.trim(budget, spill)

    def trim(self, budget: int, spill: int = 0) -> None:
        """Lets go of the least recently used until no more than so many bytes are kept, and in main memory so many."""
        while self.bytes > budget:
            ends = (each for each in self._segments() if not (each.spilled or _on_device(each.children.values())))
            oldest = min(ends, key=lambda each: each.used)
            self._count(oldest, -1)
            oldest.layers = [tuple(tensor.cpu() for tensor in layer) for layer in oldest.layers] if spill else []
            oldest.spilled = True
            self._count(oldest, 1)
        while self.spilled > spill or not spill:
            ends = (each for each in self._segments() if each.spilled and not each.children)
            oldest = min(ends, key=lambda each: each.used, default=None)
            if oldest is None:
                break
            self._count(oldest, -1)
            if oldest.parent is not None:
                del oldest.parent.children[int(oldest.tokens[0])]
            oldest.parent = None

    def clear(self) -> None:
        """Lets go of everything."""
        self._root, self.bytes, self.spilled = self._new_root(), 0, 0

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
        behind = segment.tokens[at:], _cut(segment.layers, at, whole)
        tail = _Segment(*behind, segment, segment.children, segment.used, segment.spilled)
        for child in tail.children.values():
            child.parent = tail
        segment.tokens, segment.layers = segment.tokens[:at], _cut(segment.layers, 0, at)
        segment.children = {int(tail.tokens[0]): tail}
        self._count(segment, 1)
        self._count(tail, 1)

    def _recall(self, last: _Segment, layers: Sequence[Layer]) -> None:
        """Has the segments of a prompt that is in use again come back from main memory; the prompt has them at hand."""
        start = 0
        for segment in last.path():
            stop = start + len(segment.tokens)
            if segment.spilled:
                self._count(segment, -1)
                segment.layers, segment.spilled = _cut(layers, start, stop), False
                self._count(segment, 1)
            start = stop

    def _segments(self) -> Iterator[_Segment]:
        waiting = [*self._root.children.values()]
        while waiting:
            segment = waiting.pop()
            waiting.extend(segment.children.values())
            yield segment

    def _count(self, segment: _Segment, sign: int) -> None:
        if segment.spilled:
            self.spilled += sign * segment.bytes
        else:
            self.bytes += sign * segment.bytes

    @staticmethod
    def _new_root() -> _Segment:
        return _Segment(np.empty(0, np.int64), [], None)


def _on_device(segments: Iterable[_Segment]) -> bool:
    return any(not each.spilled for each in segments)


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
