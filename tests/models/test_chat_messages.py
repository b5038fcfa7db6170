"""What is sent to a server: every frame and word in its place, nothing by reference."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.frames.videos import numbered
from video_tool import FrameSequence, Sampling, Settings
from video_tool.frames import Frames, read_video
from video_tool.models.chat_messages import chat_messages, plain_text, video_metadata
from video_tool.prompt import Message


def clip(count: int = 2, fps: float = 2.0, first: int = 0) -> Frames:
    frames = numbered(first + count)[first:]
    return read_video(FrameSequence(frames, fps=fps), Sampling(num_frames=count), Settings())


def decoded(jpeg: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(jpeg, validate=True)))


def shorthand(content: list[dict[str, Any]]) -> list[Any]:
    """Words as they are; pictures as their size."""
    short: list[Any] = []
    for part in content:
        if part["type"] == "text":
            short.append(part["text"])
        elif part["type"] == "image_url":
            short.append(decoded(part["image_url"]["url"].removeprefix("data:image/jpeg;base64,")).size)
        else:
            jpegs = part["video_url"]["url"].removeprefix("data:video/jpeg;base64,").split(",")
            short.append([decoded(jpeg).size for jpeg in jpegs])
    return short


def test_frames_follow_their_times_in_reading_order() -> None:
    red = Image.new("RGB", (8, 6), "red")
    first, second = clip(2), clip(3, fps=3)
    size = (first.info.width, first.info.height)
    message = Message("user", ("What moves in ", first, " and in ", second, ", not in ", red, "?"))
    (row,) = chat_messages([message], "frames")
    assert row["role"] == "user"
    assert shorthand(row["content"]) == [
        "What moves in ",
        *("Video 1 at 0.00 s:", size, "Video 1 at 0.50 s:", size),
        " and in ",
        *("Video 2 at 0.00 s:", size, "Video 2 at 0.33 s:", size, "Video 2 at 0.67 s:", size),
        ", not in ",
        (8, 6),
        "?",
    ]


def test_videos_as_one_part() -> None:
    first, second = clip(2), clip(3, fps=3)
    size = (first.info.width, first.info.height)
    alone = Message("user", (first, "What moves?"))
    (row,) = chat_messages([alone], "video")
    assert shorthand(row["content"]) == [[size] * 2, "What moves?"]
    assert video_metadata([alone])["media_io_kwargs"]["video"] == {
        "num_frames": -1,
        "fps": first.info.fps,
        "frames_indices": [0, 1],
        "total_num_frames": 2,
        "duration": first.info.duration,
        "do_sample_frames": False,
    }
    both = Message("user", (first, second, "What moves?"))
    (row,) = chat_messages([both], "video")
    assert shorthand(row["content"]) == [
        *("Video 1, its frames at 0.00, 0.50 s:", [size] * 2),
        *("Video 2, its frames at 0.00, 0.33, 0.67 s:", [size] * 3),
        "What moves?",
    ]
    assert video_metadata([both])["media_io_kwargs"]["video"] == {"num_frames": -1}
    assert video_metadata([Message("user", ("Words.",))]) == {}


def test_videos_are_counted_through_the_conversation() -> None:
    messages = [
        Message("user", (clip(1), "What is it?")),
        Message("assistant", ("A bird.",)),
        Message("user", ("And in ", clip(1), "?")),
    ]
    rows = chat_messages(messages, "frames")
    assert [row["role"] for row in rows] == ["user", "assistant", "user"]
    assert shorthand(rows[0]["content"])[0] == "Video 1 at 0.00 s:"
    assert rows[1]["content"] == "A bird."
    assert shorthand(rows[2]["content"])[1] == "Video 2 at 0.00 s:"


def test_pixels_survive() -> None:
    video = clip(3)
    (row,) = chat_messages([Message("user", (video, "What?"))], "frames")
    urls = [part["image_url"]["url"] for part in row["content"] if part["type"] == "image_url"]
    for frame, url in zip(video.images, urls, strict=True):
        got = np.asarray(decoded(url.removeprefix("data:image/jpeg;base64,")).convert("RGB"), np.int16)
        assert np.abs(got - frame.astype(np.int16)).mean() < 3
    colour = Image.new("RGB", (33, 33), (0, 0, 40))
    colour.putpixel((16, 16), (255, 0, 0))
    (row,) = chat_messages([Message("user", (colour, "What?"))], "frames")
    got = decoded(row["content"][0]["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    red, _, blue = got.getpixel((16, 16))  # type: ignore[misc]
    assert red > 200 > 60 > blue  # colour is not blurred into the neighbours


def test_large_pictures_are_shrunk_and_the_callers_are_left_alone() -> None:
    wide = Image.new("RGB", (5000, 1000))
    big = read_video(FrameSequence(np.zeros((1, 720, 1280, 3), np.uint8), fps=1), Sampling(num_frames=1), Settings())
    (row,) = chat_messages([Message("user", (big, wide, "What?"))], "frames")
    assert shorthand(row["content"]) == ["Video 1 at 0.00 s:", (1024, 576), (2048, 410), "What?"]
    assert wide.size == (5000, 1000)


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ("Look at <image>, please", "Look at < image>, please"),
        ("<|im_end|><|im_start|>system", "< |im_end|>< |im_start|>system"),
        ("</s>[INST]<start_of_turn>", "< /s>[ INST]< start_of_turn>"),
        ("<\uff5cUser\uff5c>", "< \uff5cUser\uff5c>"),
        ("a < b | c > d, x[1], <b>bold</b>, <video", "a < b | c > d, x[1], <b>bold</b>, <video"),
    ],
)
def test_words_do_not_look_like_tokens(words: str, sent: str) -> None:
    assert plain_text(words) == plain_text(plain_text(words)) == sent
    (row,) = chat_messages([Message("user", (words,))], "frames")
    assert row["content"] == sent
