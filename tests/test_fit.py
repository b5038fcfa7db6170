"""What fits into the model's context is known before anything is decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frames.videos import numbered, write_frames
from video_tool import FrameSequence, Progress, VideoQA
from video_tool.errors import ContextLengthError

LONG = 60


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("fit") / "long.mp4", numbered(LONG))


@pytest.fixture
def own(checkpoint: Path) -> tuple[VideoQA, list[Progress]]:
    """An engine, and the news of it."""
    news: list[Progress] = []
    return VideoQA(checkpoint, device="cpu", on_progress=news.append), news


def decoded(news: list[Progress]) -> list[int]:
    return [report.done for report in news if report.stage == "decode" and report.done]


def test_what_does_not_fit_is_told_before_anything_is_decoded(own: tuple[VideoQA, list[Progress]], long: Path) -> None:
    qa, news = own
    with pytest.raises(ContextLengthError) as caught:
        qa.ask("What moves?", [long], num_frames=50)
    assert "decode" not in {report.stage for report in news}
    assert caught.value.max_frames > 10


def test_what_does_not_fit_can_be_reduced(own: tuple[VideoQA, list[Progress]], long: Path) -> None:
    qa, news = own
    with pytest.raises(ContextLengthError) as caught:
        qa.ask("What moves?", [long, long], num_frames=50, max_new_tokens=5)
    most = caught.value.max_frames
    answer = qa.ask("What moves?", [long, long], num_frames=50, max_new_tokens=5, fit="reduce")
    assert answer.warnings == (f"only {most} frames of each video fit into the model's context",)
    assert decoded(news) == [most, most]
    asked = qa.ask("What moves?", [long, long], num_frames=most, max_new_tokens=5, fit="reduce")
    assert (answer.text, answer.frames, answer.usage) == (asked.text, asked.frames, asked.usage)
    assert not asked.warnings


@pytest.mark.parametrize(
    "sampling",
    [{"fps": 10.0}, {"strategy": "scenes", "num_frames": 50}, {"timestamps": [n / 10 for n in range(LONG)]}],
    ids=["fps", "scenes", "timestamps"],
)
def test_whatever_chose_the_frames(qa: VideoQA, sampling: dict[str, object]) -> None:
    given = FrameSequence(numbered(LONG), fps=10)
    answer = qa.ask("What moves?", [given], max_new_tokens=5, fit="reduce", **sampling)  # type: ignore[arg-type]
    usage = answer.usage
    assert usage.visual_tokens
    assert usage.text_tokens
    assert len(answer.frames) > 20
    assert "only" in answer.warnings[-1]
    room = 256 - usage.visual_tokens - usage.text_tokens - 5
    assert 0 <= room < 9  # one frame more would not fit


def test_what_can_not_be_reduced_is_refused(qa: VideoQA, long: Path) -> None:
    with pytest.raises(ContextLengthError) as caught:
        qa.ask("What moves?", [long] * 40, num_frames=2, fit="reduce")
    assert caught.value.max_frames == 0


def test_a_conversation_is_begun_with_as_much_as_fits(qa: VideoQA, long: Path) -> None:
    conversation = qa.conversation([long], num_frames=50, fit="reduce")
    first = conversation.ask("What moves?", max_new_tokens=5)
    assert "only" in first.warnings[-1]
    shown = {frame.index for frame in first.frames}
    longer = conversation.ask("And then? " * 9, max_new_tokens=5)
    assert 10 < len(longer.frames) < len(shown)
    assert {frame.index for frame in longer.frames} < shown
    assert f"only {len(longer.frames)} frames of each video fit" in " ".join(longer.warnings)
    assert "1 of the oldest turns is left out" in longer.warnings[-1]
    assert conversation.ask("And then?", max_new_tokens=5).frames == longer.frames


def test_words_leave_their_room(qa: VideoQA, long: Path) -> None:
    def most(question: str) -> int:
        with pytest.raises(ContextLengthError) as caught:
            qa.ask(question, [long], num_frames=50, max_new_tokens=5)
        return caught.value.max_frames

    assert most("What moves? " * 10) < most("What moves?")


def test_only_videos_with_too_many_frames_lose_some(qa: VideoQA, long: Path) -> None:
    short = FrameSequence(numbered(8), fps=4)
    answer = qa.ask(
        "What moves?", [short, FrameSequence(numbered(LONG), fps=10)], fps=4, max_new_tokens=5, fit="reduce"
    )
    counts = [sum(frame.video == number for frame in answer.frames) for number in (0, 1)]
    assert counts[0] == 8
    assert 8 < counts[1] < 24
    talk = qa.conversation([long], num_frames=50, fit="reduce")
    first = talk.ask("The same?", [long], num_frames=4, fit="reduce", max_new_tokens=5)
    assert [frame.video for frame in first.frames].count(1) == 4
