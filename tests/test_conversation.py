from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.frames.videos import numbered, write_frames
from video_tool import FrameSequence, Progress, VideoAnswer, VideoQA
from video_tool.errors import PlaceholderError, QuestionError, SourceNotFoundError, VideoToolError

MODEL = "builtin"
GIVEN = FrameSequence(numbered(10), fps=5)
FIRST, SECOND = "What is the shape doing?", "And its colour?"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("conversation") / "clip.mp4", numbered(50))


@pytest.fixture(scope="module")
def shared() -> VideoQA:
    return VideoQA(MODEL, device="cpu")


@pytest.fixture
def news(shared: VideoQA) -> list[Progress]:
    """What the engine reports during one test."""
    reports: list[Progress] = []
    shared.on_progress = reports.append
    return reports


def decoded(news: list[Progress]) -> list[str]:
    return [report.subject for report in news if report.stage == "decode" and report.done]


def test_the_first_question_is_answered_as_any_other(shared: VideoQA, clip: Path) -> None:
    alone = shared.ask(FIRST, videos=[clip], num_frames=4, max_new_tokens=8)
    first = shared.conversation([clip], num_frames=4).ask(FIRST, max_new_tokens=8)
    assert (first.text, first.frames, first.usage) == (alone.text, alone.frames, alone.usage)


def test_later_questions_decode_nothing_and_know_what_was_said(
    shared: VideoQA, clip: Path, news: list[Progress]
) -> None:
    conversation = shared.conversation([clip, GIVEN], num_frames=2)
    questions = (FIRST, SECOND, "And the second one?")
    answers = [conversation.ask(question, max_new_tokens=8) for question in questions]
    assert decoded(news) == ["clip.mp4"]
    roles = [message.role for message in conversation.messages]
    assert roles == ["user", "assistant"] * 3
    assert [message.content[-1] for message in conversation.messages] == [
        piece for question, answer in zip(questions, answers, strict=True) for piece in (question, answer.text)
    ]
    assert [len(message.content) for message in conversation.messages] == [3, 1, 1, 1, 1, 1]
    for answer in answers[1:]:
        assert (answer.frames, answer.videos) == (answers[0].frames, answers[0].videos)
        assert answer.usage.visual_tokens == answers[0].usage.visual_tokens
        assert (answer.timings.fetch, answer.timings.decode) == (0, 0)
    said = [answer.usage.text_tokens for answer in answers]
    assert said == sorted(set(said))


def test_conversations_do_not_hear_each_other(shared: VideoQA) -> None:
    one, other = shared.conversation([GIVEN], num_frames=2), shared.conversation([GIVEN], num_frames=2)
    one.ask("What colour is it?", max_new_tokens=8)
    alone = shared.ask(FIRST, videos=[GIVEN], num_frames=2, max_new_tokens=8)
    assert other.ask(FIRST, max_new_tokens=8).text == alone.text
    assert len(other.messages) == 2


def test_markers_in_the_first_question(shared: VideoQA) -> None:
    conversation = shared.conversation([GIVEN], [Image.new("RGB", (64, 64), "red")], num_frames=2)
    conversation.ask("Is what <image> shows in <video>?", max_new_tokens=1)
    kinds = [type(piece).__name__ for piece in conversation.messages[0].content]
    assert kinds == ["str", "Image", "str", "Frames", "str"]


FAILING: list[tuple[str, dict[str, float], type[VideoToolError]]] = [
    ("", {}, QuestionError),
    (FIRST, {"max_new_tokens": 0}, QuestionError),
    (FIRST, {"temperature": -1}, QuestionError),
    ("<video> and <video>?", {}, PlaceholderError),
]


@pytest.mark.parametrize(("question", "options", "error"), FAILING)
def test_a_question_that_fails_leaves_no_trace(
    shared: VideoQA, news: list[Progress], question: str, options: dict[str, float], error: type[VideoToolError]
) -> None:
    def answers(*, failing: bool) -> list[VideoAnswer]:
        conversation = shared.conversation([GIVEN], num_frames=2)
        given: list[VideoAnswer] = []
        for asked in (FIRST, SECOND):
            if failing:
                before = conversation.messages
                with pytest.raises(error):
                    conversation.ask(question, **options)
                assert conversation.messages == before
            given.append(conversation.ask(asked, max_new_tokens=8))
        return given

    undisturbed, disturbed = answers(failing=False), answers(failing=True)
    assert [answer.text for answer in disturbed] == [answer.text for answer in undisturbed]
    assert [answer.usage for answer in disturbed] == [answer.usage for answer in undisturbed]


def test_a_video_that_came_late_can_be_asked_about_again(shared: VideoQA, clip: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    conversation = shared.conversation([late], num_frames=2)
    with pytest.raises(SourceNotFoundError):
        conversation.ask(FIRST)
    late.write_bytes(clip.read_bytes())
    assert len(conversation.ask(FIRST, max_new_tokens=1).frames) == 2


def test_nothing_to_talk_about(shared: VideoQA) -> None:
    with pytest.raises(QuestionError, match="no video and no image"):
        shared.conversation().ask(FIRST)
