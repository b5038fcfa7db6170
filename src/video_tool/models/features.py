"""What a vision tower makes of pictures: all at once, as models hand it on, and picture by picture, as it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Form:
    """How a model hands on the features of several pictures.

    Attributes:
        output: the class of Transformers that holds them.
        pooled: what they lie in: a list, a tuple, or one tensor.
        deep: the same for each layer whose features go around the first layers of the language model; mostly none.
    """

    output: type[Any]
    pooled: type[Any]
    deep: tuple[type[Any], ...]


@dataclass(frozen=True)
class Features:
    """One picture's, or one video's where the tower takes videos whole.

    Attributes:
        layers: what goes into the language model in its place, (visual tokens, size), then those of the deep layers.
        form: how the model hands them on.
    """

    layers: tuple[torch.Tensor, ...]
    form: Form

    @property
    def bytes(self) -> int:
        return sum(layer.numel() * layer.element_size() for layer in self.layers)


def apart(out: Any) -> list[Features] | None:
    """What a tower made of several pictures, picture by picture."""
    pooled: Any = getattr(out, "pooler_output", None)
    deep: Sequence[Any] = getattr(out, "deepstack_features", None) or ()
    layers = [pooled, *deep]
    if any(not _is_divided(layer) or len(layer) != len(pooled) for layer in layers):
        return None
    form = Form(type(out), type(pooled), tuple(map(type, deep)))
    return [Features(tuple(row.clone() for row in rows), form) for rows in zip(*layers, strict=True)]


def _is_divided(layer: Any) -> bool:
    """Whether this is (tokens, size) for each picture, in a list or in one tensor."""
    import torch

    if isinstance(layer, torch.Tensor):
        return layer.ndim == 3
    return isinstance(layer, list | tuple) and all(isinstance(row, torch.Tensor) and row.ndim == 2 for row in layer)


def together(features: Sequence[Features]) -> Any:
    """What a tower would hand on of these pictures."""
    form = features[0].form
    pooled, *deep = zip(*(each.layers for each in features), strict=True)
    extra = {"deepstack_features": list(map(_laid, form.deep, deep))} if deep else {}
    return form.output(pooler_output=_laid(form.pooled, pooled), **extra)


def _laid(into: type[Any], rows: Sequence[torch.Tensor]) -> Any:
    import torch

    return torch.stack(list(rows)) if issubclass(into, torch.Tensor) else into(rows)
