"""The least that a question to a LLaVA model could take: operations of matrix products, and bytes read from memory.

Counted are products alone. A matrix product of (m, k) and (k, n) is 2·m·k·n operations; causal attention needs half of
the scores among new tokens, and all of those to tokens before them. Weights are read once for each pass, keys and
values once for all that share them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from report import Machine


@dataclass(frozen=True)
class Work:
    """Operations and bytes."""

    operations: float = 0.0
    read: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.read + other.read)

    def seconds(self, machine: Machine, dtype: str) -> float:
        """At the rates of a machine; whichever of both takes longer, while the other is done beside it."""
        return max(self.operations / machine.rates[dtype], self.read / machine.rates["memory"])


@dataclass(frozen=True)
class Costs:
    """What the parts of a model cost.

    Args:
        config: a LlavaConfig whose vision tower is SigLIP and whose language model is Qwen2.
        size: bytes of a number.
    """

    config: Any
    size: int = 4

    def frames(self, count: int) -> Work:
        """Encodes frames, up to the tokens that the language model reads."""
        vision, text = self.config.vision_config, self.config.text_config
        tokens = (vision.image_size // vision.patch_size) ** 2
        layer = 4 * vision.hidden_size**2 + 2 * vision.hidden_size * vision.intermediate_size
        patches = vision.num_channels * vision.patch_size**2 * vision.hidden_size
        projector = vision.hidden_size * text.hidden_size + text.hidden_size**2
        weights = vision.num_hidden_layers * layer + patches + projector
        attention = vision.num_hidden_layers * 4 * tokens**2 * vision.hidden_size
        return Work(count * (2 * tokens * weights + attention), weights * self.size)

    def tokens(self, new: int, before: int = 0, rows: int = 1) -> Work:
        """One pass of the language model, with logits for the last token of each row.

        Args:
            new: tokens of each row.
            before: tokens whose keys and values are there, and shared by all rows.
            rows: of the batch.
        """
        text = self.config.text_config
        attended = new * before + new * (new + 1) / 2
        attention = text.num_hidden_layers * 4 * attended * self._queries
        layers, head = self._layers, text.vocab_size * text.hidden_size
        products = 2 * new * layers + 2 * head + attention
        return Work(rows * products, (layers + head + before * self._kept) * self.size)

    def generating(self, count: int, before: int, rows: int = 1) -> tuple[Work, ...]:
        """So many passes of a token each, after what came before; what rows add is theirs alone."""
        own = self._kept * self.size
        return tuple(self.tokens(1, before, rows) + Work(0, (rows - 1) * number * own) for number in range(count))

    @property
    def _queries(self) -> int:
        text = self.config.text_config
        return text.num_attention_heads * (text.hidden_size // text.num_attention_heads)

    @property
    def _kept(self) -> int:
        """Numbers that are kept for each token: keys and values of all layers."""
        text = self.config.text_config
        return 2 * text.num_hidden_layers * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)

    @property
    def _layers(self) -> int:
        """Weights of all layers of the language model."""
        text = self.config.text_config
        keys = text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
        layer = 2 * text.hidden_size * (self._queries + keys) + 3 * text.hidden_size * text.intermediate_size
        return text.num_hidden_layers * layer


def floor(machine: Machine, dtype: str, *works: Work) -> float:
    """Seconds that works take one after another at the least."""
    return sum(work.seconds(machine, dtype) for work in works)
