"""The built-in model understands what it is shown: a frame lost, swapped or reversed changes its answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from video_tool import FrameSequence, VideoQA
from video_tool.builtin import CHECKPOINT, DEMO_VIDEO
from video_tool.builtin.clips import COLOURS, MOTIONS, OPPOSITES, SHAPES, Clip, random_clip, render, write_video
from video_tool.builtin.dialogue import REFUSAL

DOING = {"left": "moving left", "right": "moving right", "up": "moving up", "down": "moving down"}


@pytest.fixture(scope="module")
def qa() -> VideoQA:
    return VideoQA("builtin")


def clip(seed: int, **given: Any) -> Clip:
    return random_clip(np.random.default_rng(seed), width=160, height=120, **given)


def frames(of: Clip, count: int = 12) -> FrameSequence:
    return FrameSequence(render(of, np.arange(count) / count), fps=count / 3)


def test_the_demo_video(qa: VideoQA) -> None:
    answer = qa.ask("What happens in the video?", [DEMO_VIDEO])
    assert answer.text == "A red circle is first moving right, then growing."


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_colours_and_shapes(qa: VideoQA, shape: str, colour: str) -> None:
    shown = frames(clip(3, shape=shape, colour=colour))
    assert qa.ask("What colour is the shape?", [shown]).text == f"It is {colour}."
    assert qa.ask("Which shape is shown in the video?", [shown]).text == f"It is a {shape}."


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_from_a_file(qa: VideoQA, motion: str, tmp_path: Path) -> None:
    times = np.arange(60) / 60
    shown = clip(5, motions=(motion,))
    if motion == "blinking":
        shown = replace(shown, legs=(replace(shown.legs[0], blinks=3.0, phase=0.0, duty=0.5),))
    write_video(tmp_path / "clip.mp4", render(shown, times), fps=20)
    words = {"still": "staying still"}.get(motion, DOING.get(motion, motion))
    answer = qa.ask("What is the shape doing?", [tmp_path / "clip.mp4"], num_frames=8)
    assert answer.text == f"It is {words}."


@pytest.mark.parametrize("motion", sorted(OPPOSITES))
def test_reversed_frames_turn_the_motion_round(qa: VideoQA, motion: str) -> None:
    forward = frames(clip(8, motions=(motion,)))
    backward = FrameSequence(np.asarray(forward.frames)[::-1].copy(), fps=4)
    one_way, other_way = (DOING.get(m, m) for m in (motion, OPPOSITES[motion]))
    assert qa.ask("How does it move?", [forward]).text == f"It is {one_way}."
    assert qa.ask("How does it move?", [backward]).text == f"It is {other_way}."
    question = f"Is the shape {one_way}?"
    assert qa.ask(question, [forward]).text == f"It is {one_way}, so yes."
    assert qa.ask(question, [backward]).text == f"It is {other_way}, so no."


def test_yes_and_no(qa: VideoQA) -> None:
    shown = frames(clip(8, shape="circle", colour="red", motions=("right",)))
    assert qa.ask("Is the shape moving right?", [shown]).text == "It is moving right, so yes."
    assert qa.ask("Is the shape growing?", [shown]).text == "It is moving right, so no."
    assert qa.ask("Is it a circle?", [shown]).text == "It is a circle, so yes."
    assert qa.ask("Is it blue?", [shown]).text == "It is red, so no."


def test_swapped_videos_swap_the_answer(qa: VideoQA) -> None:
    one, two = frames(clip(1, motions=("left",))), frames(clip(2, motions=("growing",)))
    question = "What moves in <video>, and what in <video>?"
    forward, swapped = qa.ask(question, [one, two]).text, qa.ask(question, [two, one]).text
    first, second = forward.removeprefix("In the first video, ").split(" In the second video, ")
    assert swapped == f"In the first video, {second} In the second video, {first}"
    assert "moving left" in first
    assert "growing" in second


@pytest.mark.parametrize("seed", range(4))
def test_half_of_the_frames_say_the_same(qa: VideoQA, seed: int) -> None:
    shown = frames(clip(seed, motions=(("left", "growing"), ("up",), ("shrinking",), ("still", "right"))[seed]))
    whole = qa.ask("Describe the video.", [shown], num_frames=12)
    half = qa.ask("Describe the video.", [shown], num_frames=6)
    assert (len(whole.frames), len(half.frames)) == (12, 6)
    assert whole.text == half.text


def test_same_motion(qa: VideoQA) -> None:
    question = "Are the two shapes in these two videos doing the same thing?"
    down, also, up = (frames(clip(s, motions=(m,))) for s, m in ((1, "down"), (2, "down"), (3, "up")))
    assert qa.ask(question, [down, also]).text == (
        "In the first video it is moving down. In the second video it is moving down. So yes."
    )
    assert qa.ask(question, [down, up]).text == (
        "In the first video it is moving down. In the second video it is moving up. So no."
    )


def test_follow_ups(qa: VideoQA) -> None:
    one, two = frames(clip(1, colour="red", motions=("left",))), frames(clip(2, colour="blue", motions=("up",)))
    conversation = qa.conversation([one, two])
    assert conversation.ask("What colour is the shape in the first video?").text == "It is red."
    assert conversation.ask("And in the second video?").text == "It is blue."
    assert conversation.ask("What does the shape do in the second video?").text == "It is moving up."


def test_an_image(qa: VideoQA) -> None:
    picture = render(clip(4, shape="square", colour="yellow", motions=("still",)), np.zeros(1))[0]
    assert qa.ask("What is in the image?", images=[picture]).text == "There is a yellow square."
    assert qa.ask("How does the shape move?", images=[picture]).text == "A single image does not show motion."


@pytest.mark.parametrize("question", ["Who is the president of France?", "Are these two cats doing the same thing?"])
def test_anything_else_is_refused(qa: VideoQA, question: str) -> None:
    assert qa.ask(question, [DEMO_VIDEO]).text == REFUSAL


def test_a_video_without_a_shape_is_refused(qa: VideoQA) -> None:
    rng = np.random.default_rng(0)
    noise = FrameSequence(rng.integers(0, 256, (8, 90, 120, 3), dtype=np.uint8), fps=4)
    assert qa.ask("What happens in the video?", [noise]).text == REFUSAL


def test_size_of_the_checkpoint() -> None:
    from safetensors import safe_open

    files = [path for path in CHECKPOINT.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 8_000_000
    with safe_open(CHECKPOINT / "model.safetensors", "pt") as weights:
        assert sum(weights.get_tensor(key).numel() for key in weights.keys()) <= 3_000_000  # noqa: SIM118
