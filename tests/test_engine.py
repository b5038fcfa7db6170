"""The machinery around a model: receipts, news, threads. What the model understands is tested elsewhere."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.frames.videos import HEIGHT, WIDTH, numbered, write_frames
from video_tool import (
    FrameSequence,
    GenerationOptions,
    Progress,
    Sampling,
    Settings,
    VideoAnswer,
    VideoQA,
    VideoQuestion,
)
from video_tool.errors import QuestionError

MODEL = "builtin"
QUESTION = "What is the shape doing?"
GIVEN = FrameSequence(numbered(10), fps=5, name="given")
RED = Image.new("RGB", (64, 64), "red")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two videos: 50 frames at 25 a second, and 20 uneven ones."""
    folder = tmp_path_factory.mktemp("engine")
    uneven = [100 * i + 50 * (i % 2) for i in range(20)]
    return (
        write_frames(folder / "even.mp4", numbered(50)),
        write_frames(folder / "uneven.webm", numbered(20), times=uneven, codec="libvpx-vp9"),
    )


@pytest.fixture(scope="module")
def qa() -> VideoQA:
    return VideoQA(MODEL, device="cpu", settings=Settings(num_frames=4))


def stamps(answer: VideoAnswer) -> list[tuple[int, int, float]]:
    return [(stamp.video, stamp.index, pytest.approx(stamp.timestamp, abs=1e-6)) for stamp in answer.frames]


def test_the_receipt_is_complete(qa: VideoQA, clips: tuple[Path, Path]) -> None:
    answer = qa.ask(QUESTION, videos=[*clips, GIVEN], images=[RED], num_frames=2, max_new_tokens=5)
    assert stamps(answer) == [(0, 0, 0), (0, 25, 1.0), (1, 0, 0), (1, 10, 1.0), (2, 0, 0), (2, 5, 1.0)]
    assert [(video.name, video.total_frames, video.codec) for video in answer.videos] == [
        ("even.mp4", 50, "h264"),
        ("uneven.webm", 20, "vp9"),
        ("given", 10, ""),
    ]
    assert {(video.width, video.height) for video in answer.videos} == {(WIDTH, HEIGHT)}
    assert answer.images == 1
    assert answer.warnings == ()
    model = answer.model
    assert (model.id, model.device, model.dtype, model.takes) == (MODEL, "cpu", "float32", "images")
    assert model.attention
    usage, timings = answer.usage, answer.timings
    assert usage.visual_tokens % 7 == 0  # six frames and one image, each as many tokens as the others
    assert usage.visual_tokens >= 7
    assert usage.text_tokens > 0
    assert 1 <= usage.new_tokens <= 5
    stages = (timings.fetch, timings.decode, timings.load, timings.prompt, timings.generate)
    assert min(stages) >= 0
    assert timings.decode > 0
    assert timings.generate > 0
    assert sum(stages) <= timings.total


def test_two_videos_keep_their_order(qa: VideoQA, clips: tuple[Path, Path]) -> None:
    there = qa.ask(QUESTION, videos=clips, num_frames=2, max_new_tokens=1)
    back = qa.ask(QUESTION, videos=clips[::-1], num_frames=2, max_new_tokens=1)
    assert [video.name for video in there.videos] == ["even.mp4", "uneven.webm"]
    assert [video.name for video in back.videos] == ["uneven.webm", "even.mp4"]
    assert stamps(there) == [(0, 0, 0), (0, 25, 1.0), (1, 0, 0), (1, 10, 1.0)]
    assert stamps(back) == [(0, 0, 0), (0, 10, 1.0), (1, 0, 0), (1, 25, 1.0)]


def test_how_many_frames_decides_how_many_visual_tokens(qa: VideoQA) -> None:
    asked = {
        count: qa.ask(QUESTION, videos=[GIVEN], num_frames=count, max_new_tokens=1).usage.visual_tokens
        for count in (1, 3, 4)
    }
    assert asked[3] == 3 * asked[1]
    assert asked[4] == 4 * asked[1]
    by_default = qa.ask(QUESTION, videos=[GIVEN], max_new_tokens=1)
    assert len(by_default.frames) == qa.settings.num_frames


def test_the_answer_holds_nothing_of_the_prompt_and_ends_for_a_reason(qa: VideoQA) -> None:
    cut = qa.ask(QUESTION, videos=[GIVEN], max_new_tokens=1)
    assert (cut.usage.new_tokens, cut.finish_reason) == (1, "length")
    whole = qa.ask(QUESTION, videos=[GIVEN], max_new_tokens=30)
    assert whole.text.startswith(cut.text)
    assert QUESTION not in whole.text
    assert "<" not in whole.text
    assert whole.finish_reason == "stop" or whole.usage.new_tokens == 30


def test_the_likeliest_tokens_are_always_the_same(qa: VideoQA) -> None:
    texts = {qa.ask(QUESTION, videos=[GIVEN], max_new_tokens=10).text for _ in range(3)}
    assert len(texts) == 1


def test_warnings_of_all_videos_reach_the_answer(qa: VideoQA, clips: tuple[Path, Path]) -> None:
    answer = qa.ask(QUESTION, videos=[GIVEN, clips[0]], num_frames=12, end=1.9, max_new_tokens=1)
    assert answer.warnings == ("given has 10 frames in range, fewer than the 12 asked for.",)


def test_an_answer_goes_through_json(qa: VideoQA, clips: tuple[Path, Path]) -> None:
    answer = qa.ask(QUESTION, videos=[clips[0]], max_new_tokens=3)
    assert VideoAnswer.model_validate_json(answer.model_dump_json()) == answer
    assert json.loads(answer.model_dump_json())["frames"][1]["timestamp"] == 0.48


def test_a_question_that_is_an_object(qa: VideoQA) -> None:
    sampling, generation = Sampling(num_frames=3), GenerationOptions(max_new_tokens=3)
    answer = qa.answer(VideoQuestion(question=QUESTION, videos=(GIVEN,), sampling=sampling, generation=generation))
    assert answer.text == qa.ask(QUESTION, videos=[GIVEN], num_frames=3, max_new_tokens=3).text
    assert len(answer.frames) == 3


def test_media_that_can_be_looped_over_once(qa: VideoQA) -> None:
    answer = qa.ask(QUESTION, videos=(video for video in [GIVEN, GIVEN]), images=iter([RED]), max_new_tokens=1)
    assert (len(answer.videos), answer.images) == (2, 1)


def test_images_alone(qa: VideoQA) -> None:
    answer = qa.ask("What colour is it?", images=[RED, np.asarray(RED)], max_new_tokens=1)
    assert (answer.frames, answer.videos, answer.images) == ((), (), 2)


def test_news_comes_in_the_order_of_the_stages(clips: tuple[Path, Path]) -> None:
    news: list[Progress] = []
    qa = VideoQA(MODEL, device="cpu", on_progress=news.append)
    answer = qa.ask(QUESTION, videos=clips, num_frames=2, max_new_tokens=5)
    assert news[:2] == [Progress("load", MODEL, 0, 1, "models"), Progress("load", MODEL, 1, 1, "models")]
    for name in ("even.mp4", "uneven.webm"):  # both are decoded at once
        assert [report for report in news[2:6] if report.subject == name] == [
            Progress("decode", name, 0, None, "frames"),
            Progress("decode", name, 2, 2, "frames"),
        ]
    tokens = [report.done for report in news[6:]]
    assert {(report.stage, report.subject, report.unit) for report in news[6:]} == {("generate", MODEL, "tokens")}
    assert tokens == sorted(tokens)
    assert tokens[-1] == answer.usage.new_tokens
    again: list[Progress] = []
    qa.on_progress = again.append
    qa.ask(QUESTION, videos=[GIVEN], max_new_tokens=1)
    assert {report.stage for report in again} == {"generate"}


def test_nothing_is_loaded_for_a_question_that_cannot_be_asked() -> None:
    news: list[Progress] = []
    qa = VideoQA(MODEL, device="cpu", on_progress=news.append)
    with pytest.raises(QuestionError):
        qa.ask(QUESTION, videos=[GIVEN], max_new_tokens=0)
    with pytest.raises(QuestionError):
        qa.ask("", videos=[GIVEN])
    assert news == []


def test_threads_share_one_model() -> None:
    news: list[Progress] = []
    qa = VideoQA(MODEL, device="cpu", on_progress=news.append)
    counts = [1, 2, 3, 4, 5, 6]
    together = threading.Barrier(len(counts))

    def ask(count: int) -> VideoAnswer:
        together.wait()
        return qa.ask(QUESTION, videos=[GIVEN], num_frames=count, max_new_tokens=8)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(counts)) as pool:
        answers = list(pool.map(ask, counts))
    took = time.perf_counter() - began
    assert [report.done for report in news if report.stage == "load"] == [0, 1]
    assert [len(answer.frames) for answer in answers] == counts
    alone = [qa.ask(QUESTION, videos=[GIVEN], num_frames=count, max_new_tokens=8).text for count in counts]
    assert [answer.text for answer in answers] == alone
    # waiting for others counts in no stage, so the stages of all fit in one after another; those who are answered
    # together each say how long all of these took
    busy = sum(a.timings.load + a.timings.prompt + a.timings.generate / a.batch for a in answers)
    assert busy <= took


def test_questions_asked_at_once_get_the_answers_of_questions_asked_in_turn(
    qa: VideoQA, clips: tuple[Path, Path]
) -> None:
    videos = [[clips[0]], [clips[1]], [GIVEN], list(clips)]

    async def ask_all() -> list[VideoAnswer]:
        asked = (qa.aask(QUESTION, videos=given, num_frames=2, max_new_tokens=8) for given in videos)
        return await asyncio.gather(*asked)

    together = asyncio.run(ask_all())
    in_turn = [qa.ask(QUESTION, videos=given, num_frames=2, max_new_tokens=8) for given in videos]
    assert [answer.text for answer in together] == [answer.text for answer in in_turn]
    assert [answer.frames for answer in together] == [answer.frames for answer in in_turn]
    assert [answer.usage for answer in together] == [answer.usage for answer in in_turn]


def test_the_event_loop_goes_on_while_a_question_is_answered(checkpoint: Path) -> None:
    turned = threading.Event()
    went_on: list[bool] = []
    qa = VideoQA(checkpoint, device="cpu", on_progress=lambda _: went_on.append(turned.wait(30)))

    async def ask() -> None:
        asked = asyncio.ensure_future(qa.aask(QUESTION, videos=[GIVEN], max_new_tokens=3))
        await asyncio.sleep(0)
        turned.set()
        await asked

    asyncio.run(ask())
    assert went_on
    assert all(went_on)


def test_errors_come_through_aask(qa: VideoQA) -> None:
    with pytest.raises(QuestionError, match="empty"):
        asyncio.run(qa.aask("", videos=[GIVEN]))


def test_the_settings_name_the_model() -> None:
    assert VideoQA(settings=Settings(model=MODEL)).model == MODEL
    assert VideoQA("other", settings=Settings(model=MODEL)).model == "other"
