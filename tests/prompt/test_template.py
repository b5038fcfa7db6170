"""From messages to the prompt text, through real tokenizers with real templates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.checkpoints import HOISTING, INTERLEAVING, SILENT, tokenizer
from video_tool.errors import CheckpointError, PlaceholderError
from video_tool.frames import Frames, Media, read_video
from video_tool.prompt import Message, Prompt, TemplateStyle, build_prompt, place_media
from video_tool.question import FrameSequence, Sampling
from video_tool.settings import Settings

IMAGES = TemplateStyle("images", "<image>")
VIDEO = TemplateStyle("video", "<image>", "<video>")
HOISTING_VIDEOS = HOISTING.replace("'image' -%}", "'image' or item['type'] == 'video' -%}").replace(
    "'IMAGE'", "'<video>' if item['type'] == 'video' else 'IMAGE'"
)
TWICE = HOISTING.replace("'IMAGE'", "'IMAGEIMAGE'")


def video(brightness: int, count: int = 2) -> Frames:
    """Frames of brightness b, b + 1, …: what is in the prompt can be told from its pixels."""
    pixels = np.arange(brightness, brightness + count, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    return read_video(FrameSequence(pixels, fps=5), Sampling(num_frames=count), Settings())


def image(brightness: int) -> Image.Image:
    return Image.new("RGB", (1, 1), (brightness,) * 3)


def prompt(
    question: str,
    videos: tuple[Frames, ...] = (),
    images: tuple[Image.Image, ...] = (),
    *,
    template: str = HOISTING,
    style: TemplateStyle = IMAGES,
) -> Prompt:
    return build_prompt((place_media(question, Media(videos, images)),), tokenizer(template=template), style, "chat")


def seen(made: Prompt) -> list[int]:
    return [int(pixels.flat[0]) for pixels in made.images]


def asked(text: str) -> str:
    return f"<|im_start|>user {text}<|im_end|><|im_start|>assistant"


@pytest.mark.parametrize(
    ("question", "wanted", "pixels"),
    [
        ("The same?", "<image><image><image><image><image>\nThe same?", [10, 11, 20, 21, 30]),
        ("<video> <video> <image> The same?", "<image><image><image><image><image>\nThe same?", [10, 11, 20, 21, 30]),
        (
            "What moves in <video>, and what in <video>? See <image>.",
            "\nWhat moves in <image><image>, and what in <image><image>? See <image>.",
            [10, 11, 20, 21, 30],
        ),
        ("<image> <video>\n<video> Same?", "<image><image><image><image><image>\nSame?", [30, 10, 11, 20, 21]),
        (
            "<image>Is it in <video><video>or not?",
            "\n<image>Is it in <image><image><image><image>or not?",
            [30, 10, 11, 20, 21],
        ),
        (
            "Which? <image> <video> <video>",
            "\nWhich? <image><image><image><image><image>",
            [30, 10, 11, 20, 21],
        ),
    ],
)
def test_a_template_that_gathers_images_leaves_them_in_their_places(
    question: str, wanted: str, pixels: list[int]
) -> None:
    made = prompt(question, (video(10), video(20)), (image(30),))
    assert made.text == asked(wanted)
    assert seen(made) == pixels
    assert made.videos == ()
    assert len(made.images) == 2 + 2 + 1


@pytest.mark.parametrize(
    ("question", "wanted", "pixels"),
    [
        ("Same?", "<image><image><image>Same?", [10, 11, 30]),
        ("Is <image> in <video>?", "Is <image> in <image><image>?", [30, 10, 11]),
    ],
)
def test_a_template_that_interleaves_is_left_to_do_so(question: str, wanted: str, pixels: list[int]) -> None:
    made = prompt(question, (video(10),), (image(30),), template=INTERLEAVING)
    assert made.text == f"<|im_start|>user\n{wanted}<|im_end|>\n<|im_start|>assistant\n"
    assert seen(made) == pixels


def test_a_family_that_takes_videos_keeps_them() -> None:
    first, second = video(10, 3), video(20, 5)
    made = prompt(
        "Is <image> in <video> or <video>?", (first, second), (image(30),), template=INTERLEAVING, style=VIDEO
    )
    assert made.text == "<|im_start|>user\nIs <image> in <video> or <video>?<|im_end|>\n<|im_start|>assistant\n"
    assert [id(kept) for kept in made.videos] == [id(first), id(second)]
    assert seen(made) == [30]
    assert [len(each.images) for each in made.videos] == [3, 5]


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("The same?", "<video><video><image>\nThe same?"),
        ("What is in <video>, <video> and <image>?", "\nWhat is in <video>, <video> and <image>?"),
    ],
)
def test_a_template_that_gathers_videos_leaves_them_in_their_places(question: str, wanted: str) -> None:
    made = prompt(question, (video(10), video(20)), (image(30),), template=HOISTING_VIDEOS, style=VIDEO)
    assert made.text == asked(wanted)


@pytest.mark.parametrize("style", [IMAGES, VIDEO], ids=["images", "video"])
@pytest.mark.parametrize("template", [SILENT, TWICE], ids=["dropped", "doubled"])
def test_a_template_that_changes_the_number_of_placeholders(template: str, style: TemplateStyle) -> None:
    with pytest.raises(PlaceholderError, match="placeholders for") as caught:
        prompt("What moves?", (video(10),), (image(30),), template=template, style=style)
    assert "chat template is at fault" in caught.value.hint


def test_a_placeholder_of_the_family_among_the_users_words_is_words() -> None:
    words = Message("user", (video(10), "What does <image> mean?"))
    assert build_prompt((words,), tokenizer(), IMAGES, "chat").text == asked("<image><image>\nWhat does < image> mean?")


def test_a_placeholder_in_what_the_model_said_before_is_words() -> None:
    turns = (Message("user", (video(10), "Who?")), Message("assistant", ("An <image>.",)), Message("user", ("Why?",)))
    made = build_prompt(turns, tokenizer(), IMAGES, "chat")
    assert made.text.count("<image>") == 2
    assert "An < image>." in made.text


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        (HOISTING, ("user <image><image>\nWhat moves?", "assistant \nA cat.", "user \nAnd then?", "assistant")),
        (INTERLEAVING, ("user\n<image><image>What moves?", "assistant\nA cat.", "user\nAnd then?", "assistant\n")),
    ],
    ids=["hoisting", "interleaving"],
)
def test_turns_follow_each_other_and_media_stay_with_theirs(template: str, wanted: tuple[str, ...]) -> None:
    turns = (
        place_media("What moves?", Media((video(10),))),
        Message("assistant", ("A cat.",)),
        place_media("And then?", Media()),
    )
    made = build_prompt(turns, tokenizer(template=template), IMAGES, "chat")
    end = "<|im_end|>\n" if template == INTERLEAVING else "<|im_end|>"
    assert made.text == end.join(f"<|im_start|>{turn}" for turn in wanted)
    assert seen(made) == [10, 11]


def test_interleaved_media_of_an_early_turn_stay_in_their_places() -> None:
    turns = (
        place_media("Is <image> in <video>?", Media((video(10),), (image(30),))),
        Message("assistant", ("Yes.",)),
        place_media("Where?", Media()),
    )
    made = build_prompt(turns, tokenizer(), IMAGES, "chat")
    assert made.text == (
        "<|im_start|>user \nIs <image> in <image><image>?<|im_end|><|im_start|>assistant \nYes.<|im_end|>"
        "<|im_start|>user \nWhere?<|im_end|><|im_start|>assistant"
    )
    assert seen(made) == [30, 10, 11]


def test_a_tokenizer_without_a_template_is_refused() -> None:
    bare: Any = tokenizer()
    bare.chat_template = None
    with pytest.raises(CheckpointError, match="no chat template"):
        build_prompt((Message("user", (video(10), "What moves?")),), bare, IMAGES, "chat")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ 'user: ' + messages[0]['content'] }}", "can only concatenate str"),
        ("{{ messages[0]['content'].strip() }}", "no attribute 'strip'"),
    ],
    ids=["refuses", "knows text alone", "knows text alone, too"],
)
def test_a_template_that_fails_is_the_checkpoints_fault(template: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        prompt("What moves?", (video(10),), template=template)


def test_frames_say_which_of_how_many_they_are() -> None:
    """A template may label videos; the built-in model's does."""
    labels = "{% for item in messages[0]['content'] %}{% if item['type'] == 'image' %}<image>"
    labels += "{{ item['frame'] }}/{{ item['frames'] }} {% else %}{{ item['text'] }}{% endif %}{% endfor %}"
    made = prompt("Same?", (video(10, 2), video(20, 3)), template=labels)
    assert made.text == "<image>0/2 <image>1/2 <image>0/3 <image>1/3 <image>2/3 Same?"


def test_a_prompt_prints_no_pixels() -> None:
    assert "array" not in repr(prompt("What moves?", (video(10),)))
