"""Where each video and image of a question goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from video_tool.errors import PlaceholderError, QuestionError
from video_tool.frames import Frames, Media, read_video
from video_tool.prompt import place_media
from video_tool.question import FrameSequence, Sampling
from video_tool.settings import Settings


def video(count: int = 2) -> Frames:
    frames = FrameSequence(np.zeros((count, 4, 4, 3), np.uint8), fps=5)
    return read_video(frames, Sampling(num_frames=count), Settings())


V1, V2 = video(), video()
I1, I2 = Image.new("RGB", (3, 3)), Image.new("RGB", (3, 3))


def content(question: str, videos: tuple[Frames, ...] = (), images: tuple[Image.Image, ...] = ()) -> list[object]:
    message = place_media(question, Media(videos, images)).without_idle_blanks()
    assert message.role == "user"
    return [piece if isinstance(piece, str) else id(piece) for piece in message.content]


@pytest.mark.parametrize(
    ("question", "videos", "images", "wanted"),
    [
        ("What moves?", (V1,), (), [id(V1), "What moves?"]),
        ("  What moves?\n", (V1,), (), [id(V1), "What moves?"]),
        ("The same?", (V2, V1), (I2, I1), [id(V2), id(V1), id(I2), id(I1), "The same?"]),
        ("And then?", (), (), ["And then?"]),
        ("What moves in <video>?", (V1,), (), ["What moves in ", id(V1), "?"]),
        ("<video> What moves?", (V1,), (), [id(V1), "What moves?"]),
        ("What moves? <video>", (V1,), (), ["What moves? ", id(V1)]),
        ("In <video>, and <video>?", (V2, V1), (), ["In ", id(V2), ", and ", id(V1), "?"]),
        ("<image><video>Same?", (V1,), (I1,), [id(I1), id(V1), "Same?"]),
        (
            "<video> or <image> or <video> or <image>?",
            (V1, V2),
            (I1, I2),
            [id(V1), "or ", id(I1), " or ", id(V2), " or ", id(I2), "?"],
        ),
        ("Is <Video> in < video >?", (V1,), (), [id(V1), "Is <Video> in < video >?"]),
    ],
)
def test_every_video_and_image_has_its_place(
    question: str, videos: tuple[Frames, ...], images: tuple[Image.Image, ...], wanted: list[object]
) -> None:
    assert content(question, videos, images) == wanted


@pytest.mark.parametrize(
    ("question", "videos", "images", "says"),
    [
        ("What moves in <video>?", (), (I1,), "1 <video> markers for 0 videos"),
        ("What moves in <video>?", (V1, V2), (), "1 <video> markers for 2 videos"),
        ("In <video> and <video>?", (V1,), (), "2 <video> markers for 1 videos"),
        ("In <video>?", (V1,), (I1,), "0 <image> markers for 1 images"),
        ("In <image>?", (V1,), (), "0 <video> markers for 1 videos"),
        ("And in <video>?", (), (), "1 <video> markers for 0 videos"),
    ],
)
def test_markers_that_do_not_match_are_refused(
    question: str, videos: tuple[Frames, ...], images: tuple[Image.Image, ...], says: str
) -> None:
    with pytest.raises(PlaceholderError, match=says) as caught:
        place_media(question, Media(videos, images))
    assert "or no marker at all" in caught.value.hint


@pytest.mark.parametrize("question", ["", "  \n", "<video>", " <video>\t"])
def test_a_question_without_words_is_refused(question: str) -> None:
    with pytest.raises(QuestionError, match="empty"):
        place_media(question, Media((V1,)))


words = st.text("ab,?!", min_size=1, max_size=5)


@given(pieces=st.lists(st.sampled_from(["<video>", "<image>"]) | words, min_size=1, max_size=12), last=words)
def test_markers_are_taken_in_order_and_words_are_kept(pieces: list[str], last: str) -> None:
    pieces = [*pieces, last]
    videos = tuple(video() for piece in pieces if piece == "<video>")
    images = tuple(Image.new("RGB", (2, 2)) for piece in pieces if piece == "<image>")
    placed = place_media(" ".join(pieces), Media(videos, images)).content
    assert [id(piece) for piece in placed if isinstance(piece, Frames)] == [id(given) for given in videos]
    assert [id(piece) for piece in placed if isinstance(piece, Image.Image)] == [id(given) for given in images]
    again = ["<video>" if isinstance(p, Frames) else p if isinstance(p, str) else "<image>" for p in placed]
    assert " ".join(again).split() == pieces


def test_blanks_are_kept_for_those_who_want_every_sign() -> None:
    message = place_media("<video>\n<image> So: ", Media((V1,), (I1,)))
    assert message.content == (V1, "\n", I1, " So:")
