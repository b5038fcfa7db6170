"""What comes out of a model for a prompt: tokens, counts, reasons to end, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoints import CONTEXT, HOISTING, INTERLEAVING, SILENT, TOKENS, write_checkpoint
from video_tool import FrameSequence, VideoQA
from video_tool.answer import VideoAnswer
from video_tool.errors import CheckpointError, ContextLengthError, PlaceholderError
from video_tool.model_options import ModelOptions
from video_tool.models.transformers import TransformersModel
from video_tool.progress import ignore_progress
from video_tool.question import GenerationOptions, Sampling, VideoQuestion


def video(frames: int = 60, seed: int = 0) -> FrameSequence:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, 24, 32, 3), np.uint8)
    return FrameSequence(pixels, fps=10, name=f"video {seed}")


def image(seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (30, 20, 3), np.uint8)


def write(folder: Path, **options: Any) -> VideoQA:
    return VideoQA(write_checkpoint(folder, **options), device="cpu")


@pytest.mark.parametrize(
    ("videos", "images", "num_frames"), [((60,), 0, 1), ((60,), 0, 7), ((60, 3), 0, 5), ((60,), 2, 3), ((), 2, None)]
)
def test_usage_adds_up(qa: VideoQA, videos: tuple[int, ...], images: int, num_frames: int | None) -> None:
    answer = qa.ask(
        "What moves?", [video(n, n) for n in videos], [image(n) for n in range(images)],
        num_frames=num_frames, max_new_tokens=3,
    )  # fmt: skip
    assert len(answer.frames) == sum(min(count, num_frames or 0) for count in videos)
    assert answer.images == images
    assert answer.usage.visual_tokens == (len(answer.frames) + images) * TOKENS
    assert answer.usage.new_tokens == 3
    alone = qa.ask("What moves?", images=[image()], max_new_tokens=1).usage
    assert answer.usage.text_tokens == alone.text_tokens


def test_generation_ends_where_the_tokens_allowed_do(qa: VideoQA) -> None:
    answer = qa.ask("What moves?", [video()], num_frames=2, max_new_tokens=6)
    assert (answer.finish_reason, answer.usage.new_tokens) == ("length", 6)


def test_generation_ends_where_the_model_says_so(tmp_path: Path, qa: VideoQA) -> None:
    """An end token that the model is known to say: the third of its answer."""
    model = TransformersModel(qa.model, ModelOptions(device="cpu"))
    messages = qa.read(
        VideoQuestion(question="What moves?", videos=(video(),), sampling=Sampling(num_frames=2))
    ).messages
    said = model.generate(messages, GenerationOptions(max_new_tokens=6), ignore_progress).said.tokens
    end = said[2]
    ending = write(tmp_path, end_tokens=(end,))
    answer = ending.ask("What moves?", [video()], num_frames=2, max_new_tokens=6)
    assert (answer.finish_reason, answer.usage.new_tokens) == ("stop", said.index(end) + 1)


def test_a_temperature_draws_and_can_be_seeded(qa: VideoQA) -> None:
    def draw(seed: int, temperature: float) -> str:
        torch.manual_seed(seed)
        return qa.ask("What moves?", [video()], num_frames=2, max_new_tokens=8, temperature=temperature).text

    assert draw(1, 1.0) == draw(1, 1.0)
    assert len({draw(seed, 1.0) for seed in range(4)}) > 1
    assert len({draw(seed, 0.0) for seed in range(4)}) == 1
    assert draw(1, 1e-4) == draw(1, 0.0)


@pytest.mark.parametrize(
    ("videos", "images", "question"),
    [
        ((60,), 0, "What moves?"),
        ((60, 60), 0, "Are the two the same?"),
        ((60, 60, 60), 0, "Are the three the same?"),
        ((60, 3), 0, "Is the short one in the long one?"),
        ((60,), 2, "Are both in it?"),
    ],
    ids=["one video", "two videos", "three videos", "a short one beside a long one", "a video and images"],
)
def test_more_frames_than_the_context_holds(qa: VideoQA, videos: tuple[int, ...], images: int, question: str) -> None:
    def ask(num_frames: int) -> VideoAnswer:
        shown = [video(count, seed) for seed, count in enumerate(videos)]
        return qa.ask(question, shown, [image(n) for n in range(images)], num_frames=num_frames, max_new_tokens=5)

    with pytest.raises(ContextLengthError) as caught:
        ask(50)
    most = caught.value.max_frames
    assert f"num_frames to {most}" in caught.value.hint
    assert str(CONTEXT) in caught.value.message
    usage = ask(most).usage
    assert usage.visual_tokens + usage.text_tokens + 5 <= CONTEXT
    with pytest.raises(ContextLengthError) as again:
        ask(most + 1)
    assert again.value.max_frames == most


def test_a_prompt_and_an_answer_may_fill_the_context_to_the_last_token(qa: VideoQA) -> None:
    usage = qa.ask("What moves?", [video()], num_frames=2, max_new_tokens=1).usage
    room = CONTEXT - usage.visual_tokens - usage.text_tokens
    qa.ask("What moves?", [video()], num_frames=2, max_new_tokens=room)
    with pytest.raises(ContextLengthError):
        qa.ask("What moves?", [video()], num_frames=2, max_new_tokens=room + 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda qa: qa.ask("What are they?", images=[image()] * 30),
        lambda qa: qa.ask("Tell me more. " * 80, [video()], num_frames=1),
        lambda qa: qa.ask("What moves?", [video()] * 30, num_frames=2),
        lambda qa: qa.ask("What moves?", [video()], num_frames=1, max_new_tokens=CONTEXT),
    ],
    ids=["images", "words", "videos", "answer"],
)
def test_where_not_even_one_frame_a_video_fits(qa: VideoQA, ask: Callable[[VideoQA], VideoAnswer]) -> None:
    with pytest.raises(ContextLengthError) as caught:
        ask(qa)
    assert caught.value.max_frames == 0
    assert "Lower num_frames" not in caught.value.hint
    assert "fewer videos" in caught.value.hint


@pytest.mark.parametrize("template", [HOISTING, INTERLEAVING], ids=["hoisting", "interleaving"])
def test_a_question_that_holds_the_checkpoints_own_placeholder(tmp_path: Path, template: str) -> None:
    qa = write(tmp_path, image_token="<|image_pad|>", template=template)
    for question in ("What moves in <video>?", "What does <|image_pad|> mean?"):
        answer = qa.ask(question, [video()], num_frames=2, max_new_tokens=1)
        assert answer.usage.visual_tokens == 2 * TOKENS


@pytest.mark.parametrize("words", ["What is <Image>?", "Is a < b, and c>image?", "Tag: <im age>, <images>, image>"])
def test_words_that_only_look_like_placeholders_are_words(qa: VideoQA, words: str) -> None:
    assert qa.ask(words, [video()], num_frames=2, max_new_tokens=1).usage.visual_tokens == 2 * TOKENS


def test_a_template_that_drops_images(tmp_path: Path) -> None:
    with pytest.raises(PlaceholderError, match="0 <image> placeholders for 2"):
        write(tmp_path, template=SILENT).ask("What moves?", [video()], num_frames=2)


def test_a_processor_that_drops_images(tmp_path: Path) -> None:
    """Its placeholder is not the model's: the model would see words in place of frames."""
    with pytest.raises(PlaceholderError, match="LlavaProcessor"):
        write(tmp_path, config={"image_token_index": 5}).ask("What moves?", [video()], num_frames=2)


@pytest.mark.parametrize("patch", [22, 7, None])
def test_a_processor_that_counts_otherwise_than_the_model(tmp_path: Path, patch: int | None) -> None:
    """Checkpoints of old have no patch size in their processor's configuration."""
    with pytest.raises(CheckpointError) as caught:
        write(tmp_path, patch=patch).ask("What moves?", [video()], num_frames=2)
    assert "processor" in caught.value.hint
