"""A processor that loses media, or frames, is found out whatever it is: never an answer from less than was given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BatchFeature, LlavaProcessor

from tests.checkpoints import processor
from video_tool import FrameSequence
from video_tool.errors import CheckpointError, PlaceholderError, VideoToolError
from video_tool.frames import Frames, read_video
from video_tool.models.families import Family
from video_tool.models.families.checking import check_encoded
from video_tool.prompt import Prompt
from video_tool.question import Sampling
from video_tool.settings import Settings

FRAMES = 4


def video(frames: int = FRAMES) -> Frames:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 32, 3), np.uint8)
    return read_video(FrameSequence(pixels, fps=10), Sampling(num_frames=frames), Settings())


PROMPT = Prompt("", (), (video(), video(3)))
IMAGES = Prompt("", tuple(video().images))
BOTH = replace(PROMPT, images=(video().images[0],))


def pixels(*shape: int) -> torch.Tensor:
    return torch.ones(shape)


GRID = {"pixel_values_videos": pixels(40, 12), "video_grid_thw": torch.tensor([[2, 2, 2], [2, 4, 4]])}


@pytest.mark.parametrize(
    ("prompt", "inputs"),
    [
        (PROMPT, GRID),
        (PROMPT, {"pixel_values_videos": pixels(7, 9, 12), "num_frames_per_video": [4, 3]}),
        (replace(PROMPT, videos=PROMPT.videos[:1] * 2), {"pixel_values_videos": pixels(2, 4, 3, 8, 8)}),
        (PROMPT, {"pixel_values": pixels(7, 3, 8, 8)}),
        (
            PROMPT,
            {
                "pixel_values": pixels(2, 4, 3, 8, 8),
                "pixel_attention_mask": torch.tensor([[1] * 4, [1] * 3 + [0]])[:, :, None, None].expand(2, 4, 8, 8),
            },
        ),
        (IMAGES, {"pixel_values": pixels(4, 3, 8, 8)}),
        (IMAGES, {"pixel_values": pixels(1, 20, 3, 8, 8)}),
        (IMAGES, {"pixel_values": pixels(30, 12), "image_grid_thw": torch.ones(4, 3)}),
        (BOTH, {**GRID, "pixel_values": pixels(2, 3, 8, 8)}),
        (BOTH, {"pixel_values": pixels(8, 3, 8, 8)}),
    ],
)
def test_what_is_whole_passes(prompt: Prompt, inputs: dict[str, Any]) -> None:
    check_encoded(inputs, prompt, 50, 2, "Processor")


@pytest.mark.parametrize(
    ("prompt", "inputs"),
    [
        (PROMPT, {}),
        (PROMPT, {"input_ids": torch.ones(1, 50, dtype=torch.long)}),
        (PROMPT, GRID | {"video_grid_thw": torch.tensor([[2, 2, 2]])}),
        (PROMPT, GRID | {"video_grid_thw": torch.tensor([[2, 2, 2], [1, 4, 4]])}),
        (PROMPT, GRID | {"video_grid_thw": torch.tensor([[4, 2, 2], [2, 4, 4]])}),
        (PROMPT, {"pixel_values_videos": pixels(7, 9, 12), "num_frames_per_video": [4, 2]}),
        (PROMPT, {"pixel_values_videos": pixels(2, 3, 3, 8, 8)}),
        (PROMPT, {"pixel_values_videos": pixels(1, 32, 3, 8, 8)}),
        (PROMPT, {"pixel_values": pixels(6, 3, 8, 8)}),
        (
            PROMPT,
            {
                "pixel_values": pixels(2, 4, 3, 8, 8),
                "pixel_attention_mask": torch.eye(4)[:2, :, None, None].expand(2, 4, 8, 8),
            },
        ),
        (IMAGES, {"pixel_values": pixels(3, 3, 8, 8)}),
        (IMAGES, {"pixel_values": pixels(30, 12), "image_grid_thw": torch.ones(3, 3)}),
        (BOTH, GRID),
        (BOTH, {"pixel_values": pixels(7, 3, 8, 8)}),
    ],
)
def test_what_is_not_whole_is_refused(prompt: Prompt, inputs: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="Processor made") as caught:
        check_encoded(inputs, prompt, 50, 2, "Processor")
    assert caught.value.hint


class Forgetful(LlavaProcessor):
    """A processor of a family that nobody knows; it loses something on the way."""

    loses = ""

    def __call__(self, images: Any = None, text: Any = None, **options: Any) -> BatchFeature:
        made = super().__call__(images=images, text=text, **options)
        match self.loses:
            case "a frame":
                made["pixel_values"] = made["pixel_values"][1:]
            case "all pixels":
                del made["pixel_values"]
            case "all tokens":
                made["input_ids"] = made["input_ids"][made["input_ids"] != self.image_token_id][None]
            case "its mind":
                raise KeyError("image_sizes")
        return made


@pytest.mark.parametrize(
    ("loses", "kind"),
    [
        ("", None),
        ("a frame", CheckpointError),
        ("all pixels", CheckpointError),
        ("all tokens", PlaceholderError),
        ("its mind", CheckpointError),
    ],
)
def test_an_unknown_family_is_checked_the_same(loses: str, kind: type[VideoToolError] | None) -> None:
    known = processor()
    unknown = Forgetful(
        known.image_processor,
        known.tokenizer,
        patch_size=known.patch_size,
        vision_feature_select_strategy="full",
        chat_template=known.chat_template,
    )
    unknown.loses = loses
    prompt = Prompt("<image>" * FRAMES, tuple(video().images))
    family = Family(unknown, None)
    if kind is None:
        assert family.visual(family.encode(prompt)["input_ids"]) == FRAMES * 9
        return
    with pytest.raises(kind, match="Forgetful") as caught:
        family.encode(prompt)
    assert caught.value.hint
