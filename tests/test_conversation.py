from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from tests.frames.videos import numbered, write_frames
from video_tool import Conversation, FrameSequence, Progress, VideoAnswer, VideoQA
from video_tool.errors import ContextLengthError, PlaceholderError, QuestionError, SourceNotFoundError, VideoToolError

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


def test_videos_may_come_with_later_questions(shared: VideoQA, clip: Path, news: list[Progress]) -> None:
    conversation = shared.conversation([GIVEN], num_frames=2)
    conversation.ask(FIRST, max_new_tokens=4)
    answer = conversation.ask("Is <video> the same?", [clip], num_frames=3, max_new_tokens=4)
    assert [video.name for video in answer.videos] == ["frames", "clip.mp4"]
    assert [frame.video for frame in answer.frames] == [0, 0, 1, 1, 1]
    assert [type(piece).__name__ for piece in conversation.messages[2].content] == ["str", "Frames", "str"]
    last = conversation.ask(SECOND, max_new_tokens=4)
    assert (last.frames, last.timings.decode) == (answer.frames, 0)
    assert decoded(news) == ["clip.mp4"]


def test_frames_are_chosen_for_new_videos_only(shared: VideoQA) -> None:
    conversation = shared.conversation([GIVEN], num_frames=2)
    with pytest.raises(QuestionError, match="no video is new"):
        conversation.ask(FIRST, num_frames=3)


def test_a_conversation_may_begin_without_videos(shared: VideoQA) -> None:
    conversation = shared.conversation(num_frames=2)
    with pytest.raises(QuestionError, match="no video and no image"):
        conversation.ask(FIRST)
    assert len(conversation.ask(FIRST, [GIVEN], max_new_tokens=4).frames) == 2


OPENING, COMING = (FrameSequence(numbered(4), fps=5, name=name) for name in ("opening", "coming"))


def test_the_oldest_turns_are_left_out_when_there_is_no_more_room(qa: VideoQA) -> None:
    """The model holds 256 tokens: 9 a frame, and a few for the words."""
    conversation = qa.conversation([OPENING], num_frames=4)
    conversation.ask("What moves?", max_new_tokens=8)
    second = conversation.ask("And here?", [COMING], max_new_tokens=8)
    assert [video.name for video in second.videos] == ["opening", "coming"]
    assert not second.warnings
    third = conversation.ask("Is it " + "the same " * 5 + "?", max_new_tokens=80)
    assert third.warnings == ("the conversation has become too long for the model: 1 of the oldest turns is left out",)
    assert [video.name for video in third.videos] == ["opening", "coming"]  # the opening one moves on
    assert [message.role for message in conversation.messages] == ["user", "assistant"] * 2
    assert [type(piece).__name__ for piece in conversation.messages[0].content] == ["Frames", "Frames", "str"]

    last = conversation.ask("Is it " + "the same " * 5 + "?", max_new_tokens=80)
    assert "left out, and 1 video with them" in last.warnings[0]
    assert [video.name for video in last.videos] == ["opening"]

    alone = qa.ask("Is it " + "the same " * 5 + "?", [OPENING], num_frames=4, max_new_tokens=80)
    again = qa.conversation([OPENING], num_frames=4)
    again.ask("What moves?", max_new_tokens=8)
    left = again.ask("Is it " + "the same " * 5 + "?", max_new_tokens=180)
    assert left.usage.text_tokens == alone.usage.text_tokens
    assert left.text.startswith(alone.text)


def test_what_can_no_longer_be_seen_is_not_talked_about(qa: VideoQA) -> None:
    conversation = qa.conversation(num_frames=4)
    conversation.ask("What moves?", [COMING], max_new_tokens=8)
    before = conversation.messages
    with pytest.raises(ContextLengthError) as caught:
        conversation.ask("And then?", max_new_tokens=200)
    assert "begin a new conversation" in caught.value.hint
    assert conversation.messages == before
    assert conversation.ask("And then?", max_new_tokens=8).frames


def test_a_question_too_long_by_itself(qa: VideoQA) -> None:
    conversation = qa.conversation([OPENING], num_frames=4)
    conversation.ask("What moves?", max_new_tokens=8)
    with pytest.raises(ContextLengthError):
        conversation.ask("And then?", max_new_tokens=250)
    assert len(conversation.messages) == 2


async def _pieces(conversation: Conversation, question: str) -> list[str | VideoAnswer]:
    return [piece async for piece in conversation.astream(question, max_new_tokens=8)]


def test_conversations_of_event_loops(shared: VideoQA) -> None:
    conversation, other = (shared.conversation([GIVEN], num_frames=2) for _ in range(2))
    expected = [other.ask(question, max_new_tokens=8).text for question in (FIRST, SECOND)]
    *pieces, answer = asyncio.run(_pieces(conversation, FIRST))
    assert isinstance(answer, VideoAnswer)
    assert "".join(map(str, pieces)) == answer.text == expected[0]
    assert asyncio.run(conversation.aask(SECOND, max_new_tokens=8)).text == expected[1]
    assert conversation.messages[-1].content == other.messages[-1].content
