"""Every family against its own documented call: the same tokens, the same pixels, the same answer."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.families.loaded import QUESTION, Loaded, image, video
from video_tool import FrameSequence
from video_tool.errors import ContextLengthError, PromptError
from video_tool.frames import Frames, read_video
from video_tool.model_options import ModelOptions
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.transformers import TransformersModel
from video_tool.progress import ignore_progress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions, Sampling
from video_tool.settings import Settings

CASES: dict[str, tuple[Any, ...]] = {
    "one video": (video(),),
    "two videos": (video(), video(1, fps=5.0, size=(50, 30))),
    "a video and an image": (video(), image()),
    "an image and a video": (image(), video()),
    "two images": (image(), image(1, (70, 110))),
}


def kinds(media: tuple[Any, ...]) -> list[str]:
    return ["video" if isinstance(piece, Frames) else "image" for piece in media]


@pytest.mark.parametrize("media", CASES.values(), ids=CASES)
def test_the_tokens_pixels_and_answer_are_those_of_the_documented_call(loaded: Loaded, media: tuple[Any, ...]) -> None:
    by_hand = loaded.by_hand(media)
    encoded = loaded.encoded(media)
    assert sorted(encoded) == sorted(by_hand)
    for name in by_hand:
        assert torch.equal(encoded[name], torch.as_tensor(by_hand[name])), name
    new = loaded.generate(by_hand)
    generation = loaded.ours.generate(loaded.messages(media), GenerationOptions(max_new_tokens=8), ignore_progress)
    assert list(generation.said.tokens) == new
    assert generation.said.text == loaded.processor.decode(new, skip_special_tokens=True).strip()
    usage = generation.usage
    assert usage.visual_tokens >= len(media)
    assert usage.visual_tokens + usage.text_tokens == by_hand["input_ids"].shape[1]


@pytest.mark.parametrize("media", CASES.values(), ids=CASES)
def test_the_prompt_is_what_one_would_write_by_hand(loaded: Loaded, media: tuple[Any, ...]) -> None:
    prompt = loaded.ours.preprocessor.prompt(loaded.messages(media))
    assert prompt.text == loaded.tested.written(QUESTION, kinds(media), frames=4)


def test_the_placeholder_is_the_processors_own(loaded: Loaded) -> None:
    style = loaded.ours.preprocessor.family.style
    assert style.takes == ("video" if loaded.tested.video else "images")
    assert (style.video_token or style.image_token) == loaded.tested.placeholder
    assert loaded.ours.preprocessor.family.mixes == loaded.tested.mixes


def test_every_frame_of_every_video_and_every_image_counts(loaded: Loaded) -> None:
    """Without this, equal tokens would say little."""
    media = [*CASES["two videos"], image()]
    whole = loaded.logits(loaded.encoded(media))
    for number, piece in enumerate(media):
        frames = len(piece.images) if isinstance(piece, Frames) else 1
        for frame in range(frames):
            changed = [*media[:number], _changed(piece, frame), *media[number + 1 :]]
            assert not torch.allclose(loaded.logits(loaded.encoded(changed)), whole), (number, frame)


def _changed(piece: Any, frame: int) -> Any:
    if not isinstance(piece, Frames):
        return image(7)
    images = piece.images.copy()
    images[frame] = 255 - images[frame]
    return replace(piece, images=images)


def test_frames_in_another_order_are_another_video(loaded: Loaded) -> None:
    frames = video()
    backwards = replace(frames, images=frames.images[::-1])
    assert not torch.allclose(loaded.logits(loaded.encoded([frames])), loaded.logits(loaded.encoded([backwards])))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_any_number_of_frames(loaded: Loaded, count: int) -> None:
    encoded = loaded.encoded([video(frames=count)])
    assert loaded.generate(encoded)
    if count > 1:  # of one alone, GLM's processor makes an error
        by_hand = loaded.by_hand([video(frames=count)])
        for name in by_hand:
            assert torch.equal(encoded[name], torch.as_tensor(by_hand[name])), name


def test_videos_of_different_lengths(loaded: Loaded) -> None:
    media = [video(frames=4), video(1, frames=2)]
    if not loaded.tested.equal:
        assert loaded.generate(loaded.encoded(media))
        return
    with pytest.raises(PromptError) as caught:
        loaded.encoded(media)
    assert "4, 2" in caught.value.message
    assert "num_frames=2" in caught.value.hint


def test_images_of_different_shapes(loaded: Loaded) -> None:
    media = [image(), image(1, (70, 30))]
    if not loaded.tested.equal_images:
        assert loaded.generate(loaded.encoded(media))
        return
    with pytest.raises(PromptError, match="images of one shape"):
        loaded.encoded(media)


SECONDS = [0.0, 0.4, 0.7, 3.2, 61.5, 64.0]


def uneven() -> Frames:
    """Frames shown at these times, of a video whose rate changes."""
    times = sorted({*SECONDS, *np.arange(0.05, 70, 0.33).tolist()})
    pixels = np.random.default_rng(0).integers(0, 256, (len(times), 40, 60, 3), np.uint8)
    given = FrameSequence(pixels, timestamps=times)
    return read_video(given, Sampling(timestamps=tuple(SECONDS)), Settings())


def test_the_prompt_tells_when_frames_are_shown(loaded: Loaded) -> None:
    text = loaded.processor.tokenizer.decode(loaded.encoded([uneven()])["input_ids"][0])
    wanted = loaded.tested.times(SECONDS) if loaded.tested.times else []
    places = [text.find(time) for time in wanted]
    assert -1 not in places, (wanted, text)
    assert places == sorted(places)


def test_the_rate_of_the_frames_is_told(loaded: Loaded) -> None:
    """Of frames from a part of a video: their own, not that of as many in the whole one."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 40, 60, 3), np.uint8)
    given = FrameSequence(pixels, fps=10)
    part = read_video(given, Sampling(num_frames=5, start=10, end=15), Settings())
    encoded = loaded.encoded([part])
    assert part.timestamps == (10.0, 11.0, 12.0, 13.0, 14.0)
    if "second_per_grid_ts" in encoded:
        assert encoded["second_per_grid_ts"].tolist() == [2.0]
    else:
        assert loaded.tested.name != "Qwen2.5-VL"


def test_in_bfloat16_pixels_are_cast_and_numbers_are_not(loaded: Loaded) -> None:
    half = TransformersModel(loaded.folder, ModelOptions(device="cpu", dtype="bfloat16"))
    messages = loaded.messages(CASES["one video"])
    encoded = half.preprocessor.encode(half.preprocessor.prompt(messages), dtype=torch.bfloat16)
    for name, value in encoded.items():
        if value.is_floating_point():
            assert value.dtype == (torch.float32 if name == "second_per_grid_ts" else torch.bfloat16), name
    assert half.generate(messages, GenerationOptions(max_new_tokens=2), ignore_progress).said.tokens


def test_the_most_frames(loaded: Loaded) -> None:
    most = loaded.tested.max_frames
    assert loaded.ours.preprocessor.family.max_frames == most
    if most is not None:
        many = video(frames=most + 1, total=most + 1, size=(4, 4), ceiling=most + 1)
        with pytest.raises(ContextLengthError, match=str(most)) as caught:
            loaded.ours.preprocessor.check_length(loaded.messages([many]), 1)
        assert caught.value.max_frames == most


@pytest.mark.parametrize("media", [CASES["two videos"], CASES["two images"], (video(frames=12, size=(200, 90)),)])
def test_estimates_are_near(loaded: Loaded, media: tuple[Any, ...]) -> None:
    """As near as the context goes by them."""
    prompt = loaded.ours.preprocessor.prompt(loaded.messages(media))
    tokens = int(loaded.encoded(media)["input_ids"].shape[1])
    assert abs(loaded.ours.preprocessor.family.estimate(prompt) - tokens) < 0.1 * tokens


def test_the_context_is_counted_to_the_token_and_without_pixels(loaded: Loaded) -> None:
    """Where a prompt is one token too long for the model, fewer frames fit, and one more than those does not."""

    def asked(frames: int) -> tuple[Message, ...]:
        shown = video(frames=frames, size=(70, 120))
        black = replace(shown, images=np.broadcast_to(np.uint8(0), shown.images.shape))
        return loaded.messages([black])

    def length(frames: int) -> int:
        shown = loaded.encoded([video(frames=frames, size=(70, 120))])
        return int(shown["input_ids"].shape[1])

    new, most = 5, 8
    config = deepcopy(loaded.model.config)
    config.get_text_config().max_position_embeddings = length(most) + new - 1
    small = Preprocessor(loaded.processor, config)
    with pytest.raises(ContextLengthError) as caught:
        small.check_length(asked(most), new)
    fitting = caught.value.max_frames
    assert 0 < fitting < most
    small.check_length(asked(fitting), new)
    assert length(fitting) + new < length(most) + new <= length(fitting + 1) + new
    assert str(length(most)) in caught.value.message


SHAPES: tuple[tuple[list[tuple[int, int]], list[tuple[int, int, int]]], ...] = (
    ([(50, 90)], []),
    ([(50, 90), (50, 90), (300, 40)], []),
    ([(9, 7)], []),
    ([], [(1, 40, 60)]),
    ([], [(4, 40, 60), (4, 200, 90)]),
    ([], [(8, 300, 500)]),
    ([], [(7, 24, 16)]),
    ([(120, 30)], [(3, 40, 60)]),
    ([(50, 90), (20, 20)], [(5, 40, 60), (5, 90, 90)]),
)


@pytest.mark.parametrize(("images", "videos"), SHAPES)
def test_visual_tokens_are_known_before_a_frame_is_read(
    loaded: Loaded, images: list[tuple[int, int]], videos: list[tuple[int, int, int]]
) -> None:
    told = loaded.ours.preprocessor.family.visual_tokens(images, videos)
    shown = [video(n, frames=count, total=count, size=(high, wide)) for n, (count, high, wide) in enumerate(videos)]
    encoded = loaded.encoded([*shown, *(image(n, size) for n, size in enumerate(images))])
    assert told == loaded.ours.preprocessor.family.visual(encoded["input_ids"])
    assert told >= len(images) + len(videos)
