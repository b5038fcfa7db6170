"""Whatever is wrong with a question ends in a typed error that says what to do, and leaves nothing behind."""

from __future__ import annotations

import math
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.frames.videos import numbered, write_frames, write_sound
from tests.frames.workers import busy_workers
from tests.serve import Site, serve
from video_tool import FrameSequence, VideoQA, VideoToolError
from video_tool.errors import (
    DecodeError,
    DownloadError,
    ModelNotFoundError,
    NoVideoError,
    PlaceholderError,
    QuestionError,
    SourceNotFoundError,
    SourceRefusedError,
)

FRAMES = FrameSequence(numbered(10), fps=5)
RED = Image.new("RGB", (64, 64), "red")


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which has to be as empty afterwards as before."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", str(tmp_path))
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_HOSTS", "127.0.0.1")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert busy_workers() == []


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


def failing(call: Callable[[], Any], error: type[VideoToolError], *, retryable: bool = False) -> VideoToolError:
    """The error of a call, which has to be of exactly this type and helpful."""
    with pytest.raises(VideoToolError) as caught:
        call()
    raised = caught.value
    assert type(raised) is error
    assert raised.retryable is retryable
    for line in (raised.message, raised.hint):
        assert line.strip()
        assert len(line.splitlines()) == 1
    return raised


def ask(*, question: str = "What happens?", **asked: Any) -> Any:
    return VideoQA("builtin").ask(question, **asked)


def test_a_missing_file(tmp_path: Path) -> None:
    error = failing(lambda: ask(videos=[tmp_path / "gone.mp4"]), SourceNotFoundError)
    assert "gone.mp4" in error.message
    assert isinstance(error, FileNotFoundError)


def test_an_address_where_nobody_answers() -> None:
    with socket.socket() as bound:  # bound, but not listening: every connection is refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/clip.mp4"
        error = failing(lambda: ask(videos=[url]), DownloadError, retryable=True)
    assert "can't be reached" in error.message


def test_an_address_with_nothing_there(site: Site) -> None:
    error = failing(lambda: ask(videos=[f"{site.url}/gone.mp4"]), SourceNotFoundError)
    assert "404" in error.message


def test_a_directory(tmp_path: Path) -> None:
    error = failing(lambda: ask(videos=[tmp_path]), SourceRefusedError)
    assert "a directory" in error.message


def text_file(folder: Path) -> Path:
    path = folder / "words.mp4"
    path.write_text("These are words.\n" * 100)
    return path


def empty_file(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def sound_file(folder: Path) -> Path:
    return write_sound(folder / "sound.m4a")


@pytest.mark.parametrize("make", [text_file, empty_file, sound_file])
def test_a_file_without_a_video(make: Callable[[Path], Path], tmp_path: Path, temp: Path) -> None:
    path = make(tmp_path)
    error = failing(lambda: ask(videos=[path]), NoVideoError)
    assert error.message.startswith(path.name)
    error = failing(lambda: ask(videos=[path.read_bytes()]), NoVideoError)
    assert str(temp) not in error.message


def test_a_video_among_the_images(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.mp4", numbered(5))
    failing(lambda: ask(images=[path]), DecodeError)


def test_no_video_and_no_image() -> None:
    error = failing(ask, QuestionError)
    assert "no video and no image" in error.message


@pytest.mark.parametrize("question", ["", "  \n", "<video>", " <video> "])
def test_a_question_without_words(question: str) -> None:
    error = failing(lambda: ask(question=question, videos=[FRAMES]), QuestionError)
    assert "empty" in error.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 0}, "num_frames is 0"),
        ({"num_frames": 257}, "above the ceiling of 256"),
        ({"num_frames": 4, "fps": 2}, "num_frames and fps"),
        ({"fps": 0}, "fps is 0"),
        ({"start": 1, "end": 1}, "not after start"),
        ({"start": 2, "end": 1}, "not after start"),
        ({"start": -1}, "start is -1"),
        ({"start": 2}, "2.00 s long"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": math.nan}, "temperature is nan"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, float], message: str) -> None:
    error = failing(lambda: ask(videos=[FRAMES], **options), QuestionError)
    assert message in error.message
    assert isinstance(error, ValueError)


def test_a_range_past_the_end_of_a_file(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.mp4", numbered(50))
    error = failing(lambda: ask(videos=[path], start=7), QuestionError)
    assert error.message == "clip.mp4 is 2.00 s long, and the range starts at 7 s"
    assert "below 2.00" in error.hint


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("<video> and <video>?", "2 <video> markers for 1 videos"),
        ("<image>?", "0 <video> markers for 1 videos"),
        ("<video>?", "0 <image> markers for 1 images"),
        ("<video>, <image> and <image>?", "2 <image> markers for 1 images"),
    ],
)
def test_markers_that_do_not_fit_the_media(question: str, message: str) -> None:
    error = failing(lambda: ask(question=question, videos=[FRAMES], images=[RED]), PlaceholderError)
    assert message in error.message


@pytest.mark.parametrize("single", ["one.mp4", b"bytes", Path("one.mp4"), FRAMES, numbered(3), 7, None])
def test_one_video_where_a_list_is_expected(single: Any) -> None:
    for call in (VideoQA("builtin").ask, lambda _, videos: VideoQA("builtin").conversation(videos)):
        error = failing(lambda call=call: call("What happens?", videos=single), QuestionError)
        assert error.hint == "Give a list: videos=[…]."


@pytest.mark.parametrize("single", ["one.png", RED, np.asarray(RED)])
def test_one_image_where_a_list_is_expected(single: Any) -> None:
    error = failing(lambda: ask(images=single), QuestionError)
    assert error.hint == "Give a list: images=[…]."


def test_a_file_object_where_a_list_is_expected(tmp_path: Path) -> None:
    with empty_file(tmp_path).open("rb") as opened:
        error = failing(lambda: ask(videos=opened), QuestionError)
    assert error.hint == "Give a list: videos=[…]."


@pytest.mark.parametrize("nothing", ["", " ", 7, None, {"path": "one.mp4"}])
def test_what_is_no_reference_at_all(nothing: Any) -> None:
    failing(lambda: ask(videos=[nothing]), QuestionError)
    failing(lambda: ask(images=[nothing]), QuestionError)


def test_bare_frames() -> None:
    error = failing(lambda: ask(videos=[numbered(3)]), QuestionError)
    assert "FrameSequence" in error.hint


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    error = failing(lambda: VideoQA(tmp_path / "gone").ask("What?", videos=[FRAMES]), ModelNotFoundError)
    assert "--model builtin" in error.hint


def test_the_second_of_two_videos_is_missing(tmp_path: Path) -> None:
    content = write_frames(tmp_path / "clip.mp4", numbered(5)).read_bytes()
    error = failing(lambda: ask(videos=[content, tmp_path / "gone.mp4"], num_frames=2), SourceNotFoundError)
    assert "gone.mp4" in error.message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"num_frames": 2.5}, "num_frames is 2.5"),
        ({"num_frames": "many"}, "num_frames is 'many'"),
        ({"question": None}, "question is None"),
        ({"max_new_tokens": "few"}, "max_new_tokens is 'few'"),
        ({"temperature": float("inf")}, "temperature is inf"),
    ],
)
def test_arguments_of_a_wrong_type(arguments: dict[str, Any], says: str) -> None:
    asked = {"question": "What moves?", "videos": ["nowhere.mp4"]} | arguments
    with pytest.raises(QuestionError) as caught:
        VideoQA("builtin").ask(**asked)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
