"""What a test has to know of a family, and how its small checkpoints are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, GenerationConfig

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
"""A small language model."""

VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
"""A small vision tower."""


@dataclass(frozen=True)
class Family:
    """A family of checkpoints, as its own documentation uses it.

    Attributes:
        name: how its makers call it.
        processor: makes a small one of the real class.
        config: makes the configuration of a small model that fits a processor.
        prompt: what the chat template makes of a question, with {media} and {question}; {space} is a blank that some
            write where no image comes first.
        image: what stands for one image in it.
        video: what stands for one video; empty where a video is as many images as it has frames.
        images_first: whether the template puts images before videos.
        mixes: whether a prompt may hold images beside videos; else an image is handed over as a video of one frame.
        equal: whether all videos of a prompt must have equally many frames.
        equal_images: whether all images of a prompt must have one shape.
        times: what the prompt says of when frames are shown, given their seconds; None where it says nothing.
        max_frames: the most frames of a video that the checkpoint says it takes.
        kinds: which kinds of checkpoint were tested.
        needs: what has to be installed beyond Transformers.
    """

    name: str
    processor: Callable[[], Any]
    config: Callable[[Any], Any]
    prompt: str
    image: str
    video: str = ""
    images_first: bool = False
    mixes: bool = True
    equal: bool = False
    equal_images: bool = False
    times: Callable[[list[float]], list[str]] | None = None
    max_frames: int | None = None
    kinds: tuple[str, ...] = ("chat", "base")
    needs: tuple[str, ...] = ("torchvision",)

    @property
    def placeholder(self) -> str:
        """What stands for a video, or for one of its frames, without what templates put around it."""
        (token,) = re.findall(
            r"<video>|<image>|<\|(?:video|image)(?:_pad)?\|>|<start_of_image>|\[IMG\]", self.video or self.image
        )
        return token

    def write(self, folder: Path) -> Path:
        """Writes a checkpoint with random weights, in today's layout."""
        processor = self.processor()
        config = self.config(processor)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            model = AutoModelForImageTextToText.from_config(config)
            for name, weight in model.named_parameters():
                # large enough that the answer follows from every frame
                if weight.ndim > 1:
                    weight.normal_(0, 1 if "embed" in name else 1.5 * weight[0].numel() ** -0.5)
        tokenizer = processor.tokenizer
        model.generation_config = GenerationConfig(
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
        )
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        return folder

    def written(self, question: str, media: list[str], frames: int) -> str:
        """The prompt that a careful user would write for a question about media such as `video` and `image`."""
        if self.images_first:
            media = sorted(media)
        if not self.mixes and "video" in media:
            media = ["video"] * len(media)
        pieces = {"image": self.image, "video": self.video or self.image * frames}
        space = "" if media[0] == "image" else " "
        return self.prompt.format(media="".join(pieces[kind] for kind in media), question=question, space=space)


def pairs(seconds: list[float]) -> list[tuple[float, float]]:
    """The times of frames that are seen two by two, the last by itself where their number is odd."""
    if len(seconds) % 2:
        seconds = [*seconds, seconds[-1]]
    return list(zip(seconds[::2], seconds[1::2], strict=True))


def clock(seconds: float) -> str:
    return f"{int(seconds // 60):02d}:{int(seconds % 60):02d}"


def ids(processor: Any) -> dict[str, Any]:
    """The vocabulary's size and special tokens, as language models are configured with them."""
    tokenizer = processor.tokenizer
    return {
        "vocab_size": len(tokenizer) + 3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
