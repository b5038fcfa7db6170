"""What came out of a processor holds all that went in: an answer from fewer frames, or from none, is never given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from video_tool.errors import CheckpointError, PlaceholderError
from video_tool.prompt import Prompt


def check_encoded(inputs: Mapping[str, Any], prompt: Prompt, visual: int, pairs: int, processor: str) -> None:
    """Compares what a processor made of a prompt with the media in it.

    Args:
        inputs: what the model is to get.
        prompt: what the processor got.
        visual: how many tokens stand for media.
        pairs: how many frames of a video the model sees as one.
        processor: what errors call it.

    Raises:
        PlaceholderError: there are fewer tokens than videos and images.
        CheckpointError: a video or image has no pixels, or frames are missing or doubled.
    """
    media = len(prompt.images) + len(prompt.videos)
    if visual < media:
        raise PlaceholderError(
            f"{processor} dropped videos and images from the prompt: {visual} tokens stand for {media} of them",
            hint="The checkpoint's processor does not know its own placeholders: use another checkpoint.",
        )
    for kind, given, found in _compared(inputs, prompt, pairs):
        if given != found:
            raise CheckpointError(
                f"{processor} made {found} {kind} of {given}",
                hint="It samples frames by itself, or is another model's: use another checkpoint.",
            )


def _compared(inputs: Mapping[str, Any], prompt: Prompt, pairs: int) -> Iterator[tuple[str, Any, Any]]:
    """What there is, how many of it went in, and how many came out; whatever the inputs tell about it."""
    images, frames = len(prompt.images), [len(video.images) for video in prompt.videos]
    pixels = {name: value for name, value in inputs.items() if _are_pixels(value)}
    of_videos = [name for name in pixels if name.endswith("_videos")]
    if images and "image_grid_thw" in inputs:
        yield "images", images, len(inputs["image_grid_thw"])
    if frames and "video_grid_thw" in inputs:
        groups = [math.ceil(count / pairs) for count in frames]
        yield "groups of frames", groups, inputs["video_grid_thw"][:, 0].tolist()
    elif frames and "num_frames_per_video" in inputs:
        yield "frames", frames, [int(count) for count in inputs["num_frames_per_video"]]
    elif frames and of_videos:
        shape = pixels[of_videos[0]].shape
        yield "frames", sum(frames), math.prod(shape[:-3]) if len(shape) > 3 else shape[0]
    # images may have become several tiles each: there must be no fewer
    rest = [_pictures(value, inputs) for name, value in pixels.items() if name not in of_videos]
    wanted = images + (0 if of_videos else sum(frames))
    yield "pictures", wanted, min(wanted, max(rest, default=0))


def _are_pixels(value: Any) -> bool:
    return getattr(value, "ndim", 0) >= 2 and bool(value.is_floating_point())


def _pictures(value: Any, inputs: Mapping[str, Any]) -> int:
    """How many pictures, tiles or rows of patches a tensor holds, without those that fill it up."""
    mask = inputs.get("pixel_attention_mask")
    if value.ndim == 5 and mask is not None and mask.shape[:2] == value.shape[:2]:
        return int(mask.flatten(2).any(dim=2).sum())
    return math.prod(value.shape[:-3]) if value.ndim > 3 else int(value.shape[0])
