"""The tokens of a prompt whose pixels nobody needs: its processor is asked for the words alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from video_tool.models.families.counting import noise
from video_tool.models.preprocessing import Preprocessor
from video_tool.prompt import Prompt

_WORDS = frozenset({"input_ids", "attention_mask"})


class Expander:
    """Writes out the visual tokens of images as a processor does, without the images.

    A processor that resizes every image to one size puts the same tokens in the place of each. Where these are an
    image's placeholder a number of times, and nothing else, the text is written with as many, and goes through the
    same tokenizer. Whether that is so is learned from a prompt that the processor has expanded: both have to come to
    the same tokens.

    Args:
        preprocessor: how the checkpoint is asked.
        others: what the processor may make besides words; the vision tower takes it, and nothing else does.

    Attributes:
        tokens: how many stand for one image; None before that was learned, or where it can't be.
    """

    def __init__(self, preprocessor: Preprocessor, others: Collection[str]) -> None:
        self.tokens: int | None = None
        self._preprocessor = preprocessor
        self._others = frozenset(others)
        self._possible = preprocessor.apart and bool(others)

    def learn(self, prompt: Prompt, inputs: Mapping[str, Any]) -> None:
        """Learns from what a processor has made of a prompt with all its images."""
        import torch

        images = len(prompt.images)
        if not self._possible or self.tokens is not None or not images:
            return
        tokens, odd = divmod(self._preprocessor.family.visual(inputs["input_ids"]), images)
        self._possible = not odd and {*inputs} <= _WORDS | self._others
        if self._possible:
            words = self.written(prompt, [tokens] * images)
            self._possible = words.keys() <= {*inputs} and all(
                torch.equal(inputs[name].cpu(), value) for name, value in words.items()
            )
        self.tokens = tokens if self._possible else None

    def expand(self, prompt: Prompt) -> Any:
        """What the processor makes of the words of a prompt with images; None where that is not known."""
        if self.tokens is None or not prompt.images:
            return None
        words = self.written(prompt, [self.tokens] * len(prompt.images))
        sizes = [(image.shape[0], image.shape[1]) for image in prompt.images]
        family = self._preprocessor.family
        return words if family.visual(words["input_ids"]) == family.visual_tokens(sizes, []) else None

    def probed(self) -> int | None:
        """How many tokens stand for one image, learned from noise where no prompt has told it yet."""
        if self.tokens is None and self._possible:
            prompt = Prompt(self._preprocessor.family.style.image_token, (noise(64, 64),))
            self.learn(prompt, self._preprocessor.encode(prompt))
        return self.tokens

    def written(self, prompt: Prompt, counts: Sequence[int]) -> Any:
        """The words of a prompt with so many tokens for each of its images, on the CPU."""
        token = self._preprocessor.family.style.image_token
        first, *rest = prompt.text.split(token)
        text = first + "".join(token * count + part for count, part in zip(counts, rest, strict=True))
        return self._preprocessor.encode_words(text)
