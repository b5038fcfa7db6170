"""A prompt on its way through a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from video_tool.models.prefix_keys import PrefixKeys
from video_tool.models.reducing import Reduction
from video_tool.models.vision import Seen

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Encoded:
    """A prompt as tokens.

    Attributes:
        inputs: what the processor makes of it; or its words alone, where these were known.
        reduction: which of its visual tokens it has kept; None for all.
    """

    inputs: dict[str, Any]
    reduction: Reduction | None = None

    @property
    def tokens(self) -> int:
        """How many there are."""
        return int(self.inputs["input_ids"].shape[1])

    def on(self, device: torch.device) -> Encoded:
        """The same on a device."""
        placed = {name: each.to(device) if hasattr(each, "to") else each for name, each in self.inputs.items()}
        return Encoded(placed, self.reduction)

    def without_pixels(self) -> Encoded:
        """The same without what its videos and images became."""
        words = {
            name: each
            for name, each in self.inputs.items()
            if not (getattr(each, "ndim", 0) > 1 and each.is_floating_point())
        }
        return Encoded(words, self.reduction)


@dataclass
class Prefill:
    """One prompt on its way through the model.

    Attributes:
        arguments: what `generate` of Transformers is given for it.
        keys: what its tokens stand for.
        tokens: how many of them need no computing.
        cache: where the model puts keys and values, which holds those of these tokens; None where it has to use one of
            its own.
        passes: in how many parts it goes through the model.
        unused: why nothing is kept for later prompts; None where it is.
        position_ids: where each of its tokens is, (…, 1, tokens); None where the model is not told.
        seen: what it is given of the videos and images that it has not read yet.
    """

    arguments: dict[str, Any]
    keys: PrefixKeys
    tokens: int = 0
    cache: Any = None
    passes: int = 1
    unused: str | None = None
    position_ids: torch.Tensor | None = None
    seen: Seen = field(default_factory=lambda: Seen({}))

    def forget_media(self) -> None:
        """The model has read it: pixels and features are not needed any more."""
        self.arguments, self.seen = {}, replace(self.seen, outputs=None)


def without_cache(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a model is given that is to compute all of a prompt."""
    ours = ("past_key_values", "prefill_chunk_size")
    return {name: value for name, value in arguments.items() if name not in ours}
