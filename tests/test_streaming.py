"""Answers piece by piece: the same as whole ones, and who stops listening stops the model."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from video_tool import Progress, Settings, VideoAnswer, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import DecodeError, QuestionError

QUESTION = "What happens in the video?"


@pytest.fixture(scope="module")
def news() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def qa(news: list[Progress]) -> VideoQA:
    def hear(each: Progress) -> None:
        news.append(each)
        if each.stage == "generate":
            time.sleep(0.01)  # this model says a token every few milliseconds: a thread that listens could not keep up

    return VideoQA("builtin", device="cpu", settings=Settings(num_frames=6), on_progress=hear)


@pytest.fixture(autouse=True)
def no_thread_is_left(news: list[Progress]) -> Iterator[None]:
    news.clear()
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "generation"] == []


def told(pieces: list[Any]) -> tuple[list[str], VideoAnswer]:
    *text, answer = pieces
    assert all(isinstance(piece, str) and piece for piece in text)
    assert isinstance(answer, VideoAnswer)
    return text, answer


def generated(news: list[Progress]) -> int:
    return max((each.done for each in news if each.stage == "generate"), default=0)


def test_pieces_make_up_the_answer_that_asking_gives(qa: VideoQA) -> None:
    whole = qa.ask(QUESTION, videos=[DEMO_VIDEO])
    pieces, answer = told(list(qa.stream(QUESTION, videos=[DEMO_VIDEO])))
    assert len(pieces) > 3
    assert "".join(pieces) == answer.text == whole.text
    differs = {"timings", "prefix_cache", "feature_cache"}
    assert answer.model_dump(exclude=differs) == whole.model_dump(exclude=differs)


# drawn so hot that the answer goes on and on: a listener who leaves at once leaves long before its end
ENDLESS: Any = {"temperature": 50.0, "seed": 1, "max_new_tokens": 200}


def test_the_receipt_tells_what_loading_took() -> None:
    fresh = VideoQA("builtin", device="cpu")
    _, first = told(list(fresh.stream(QUESTION, videos=[DEMO_VIDEO])))
    _, second = told(list(fresh.stream(QUESTION, videos=[DEMO_VIDEO])))
    assert first.timings.load > 10 * second.timings.load

    async def last() -> Any:
        return [piece async for piece in VideoQA("builtin", device="cpu").astream(QUESTION, videos=[DEMO_VIDEO])]

    _, answer = told(asyncio.run(last()))
    assert answer.timings.load > 10 * second.timings.load


def test_who_leaves_early_stops_the_model(qa: VideoQA, news: list[Progress]) -> None:
    stream = qa.stream(QUESTION, videos=[DEMO_VIDEO], **ENDLESS)
    next(stream)
    stream.close()
    assert 0 < generated(news) < 50
    news.clear()
    *_, answer = qa.stream(QUESTION, videos=[DEMO_VIDEO], **ENDLESS)
    assert generated(news) > 100
    assert isinstance(answer, VideoAnswer)


def test_errors_come_where_they_belong(qa: VideoQA, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no option 'frames'"):
        qa.stream(QUESTION, videos=[DEMO_VIDEO], frames=3)  # type: ignore[call-arg]
    with pytest.raises(QuestionError):
        qa.stream(QUESTION, videos=DEMO_VIDEO)  # type: ignore[arg-type]
    empty = tmp_path / "a.mp4"
    empty.touch()
    stream = VideoQA("builtin").stream(QUESTION, videos=[empty])
    with pytest.raises(DecodeError, match="empty"):
        next(stream)
    with pytest.raises(QuestionError, match="top_p"):
        next(qa.stream(QUESTION, videos=[DEMO_VIDEO], top_p=0.5))


def test_a_listener_that_fails_ends_generating_and_has_its_error_back(qa: VideoQA, news: list[Progress]) -> None:
    def fail(_: Progress) -> None:
        raise ZeroDivisionError

    failing = VideoQA("builtin", device="cpu", settings=qa.settings)
    failing.load()
    failing.on_progress = lambda each: fail(each) if each.stage == "generate" else None
    with pytest.raises(ZeroDivisionError):
        list(failing.stream(QUESTION, videos=[DEMO_VIDEO]))


def test_an_event_loop_goes_on_between_the_pieces(qa: VideoQA) -> None:
    async def listen() -> tuple[list[Any], int]:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        counting = asyncio.create_task(count())
        pieces: list[Any] = []
        seen: list[int] = []
        async for piece in qa.astream(QUESTION, videos=[DEMO_VIDEO]):
            pieces.append(piece)
            seen.append(turns)
        counting.cancel()
        return pieces, sum(a < b for a, b in pairwise(seen))

    pieces, went_on = asyncio.run(listen())
    text, answer = told(pieces)
    assert "".join(text) == answer.text == qa.ask(QUESTION, videos=[DEMO_VIDEO]).text
    assert went_on > 3


def test_an_event_loop_can_leave_early(qa: VideoQA, news: list[Progress]) -> None:
    async def leave() -> None:
        stream = qa.astream(QUESTION, videos=[DEMO_VIDEO], **ENDLESS)
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    assert 0 < generated(news) < 50


def test_a_cancelled_task_stops_the_model(qa: VideoQA, news: list[Progress]) -> None:
    async def cancelled() -> None:
        heard = asyncio.Event()

        async def listen() -> None:
            async for _ in qa.astream(QUESTION, videos=[DEMO_VIDEO], **ENDLESS):
                heard.set()

        task = asyncio.create_task(listen())
        await heard.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert 0 < generated(news) < 50


def test_a_conversation_piece_by_piece(qa: VideoQA) -> None:
    whole, streamed = qa.conversation(videos=[DEMO_VIDEO]), qa.conversation(videos=[DEMO_VIDEO])
    for question in (QUESTION, "What colour is it?"):
        left = streamed.stream(question)
        next(left)
        left.close()  # leaves no trace
        text, answer = told(list(streamed.stream(question)))
        assert "".join(text) == answer.text == whole.ask(question).text
    assert len(streamed.messages) == len(whole.messages) == 4


@pytest.mark.parametrize("stop", [["moving"], ["is moving", "moving"], ["in", "g left"], ["."]])
def test_stop_strings_end_the_answer_and_are_never_heard(qa: VideoQA, stop: list[str]) -> None:
    whole = qa.ask(QUESTION, videos=[DEMO_VIDEO]).text
    places = [whole.find(each) for each in stop if each in whole]
    expected = whole[: min(places)].rstrip() if places else whole
    text, answer = told(list(qa.stream(QUESTION, videos=[DEMO_VIDEO], stop=stop)))
    assert "".join(text) == answer.text == expected
    assert answer.finish_reason == "stop"
    assert qa.ask(QUESTION, videos=[DEMO_VIDEO], stop=stop).text == expected


def test_what_only_begins_like_a_stop_string_is_heard(qa: VideoQA) -> None:
    whole = qa.ask(QUESTION, videos=[DEMO_VIDEO])
    text, answer = told(list(qa.stream(QUESTION, videos=[DEMO_VIDEO], stop=[whole.text[4:12] + "?", whole.text + "!"])))
    assert "".join(text) == answer.text == whole.text


def test_time_runs_out(qa: VideoQA) -> None:
    answer = qa.ask(QUESTION, videos=[DEMO_VIDEO], max_seconds=1e-9)
    assert (answer.finish_reason, answer.usage.new_tokens) == ("time", 1)
    assert qa.ask(QUESTION, videos=[DEMO_VIDEO], max_seconds=1e9).finish_reason == "stop"
