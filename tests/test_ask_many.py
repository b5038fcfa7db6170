"""Several questions about the same videos at once: the answers that each would have by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.caching import OFF, model, opened, same, spared, watched
from tests.models.test_transformers import image, video
from tests.serving import serve_model
from video_tool import CancelScope, Settings, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import CancelledError, ContextLengthError, QuestionError

QUESTIONS = ["What moves?", "Is the square red, or is it blue?", "Left?", "Are these two cats doing the same thing?"]
ASKED: dict[str, Any] = {"num_frames": 4, "max_new_tokens": 10}


@pytest.fixture
def qa(checkpoint: Path) -> VideoQA:
    return opened(checkpoint, Settings())


@pytest.fixture
def plain(checkpoint: Path) -> VideoQA:
    return opened(checkpoint, OFF)


@pytest.mark.parametrize(("videos", "images"), [(1, 0), (2, 0), (3, 0), (1, 1)])
def test_the_answers_are_those_of_asking_one_by_one(qa: VideoQA, plain: VideoQA, videos: int, images: int) -> None:
    shown = [video(seed=number) for number in range(videos)]
    pictures = [image(number) for number in range(images)]
    with watched(qa) as work:
        answers = qa.ask_many(QUESTIONS, shown, pictures, **ASKED)
    assert work.frames == 4 * videos + images
    assert len(work.passes) <= 1 + ASKED["max_new_tokens"]
    for question, answer in zip(QUESTIONS, answers, strict=True):
        alone = plain.ask(question, shown, pictures, **ASKED)
        assert same(answer, alone)
        assert (answer.frames, answer.videos, answer.warnings) == (alone.frames, alone.videos, alone.warnings)
    assert all(spared(answer) >= answer.usage.visual_tokens for answer in answers[1:])
    assert spared(qa.ask("And now?", shown, pictures, **ASKED)) > 0, "later questions go on from there, too"


def test_answers_end_each_at_its_own_end() -> None:
    """Of the built-in model, whose answers differ in length, and which knows when it has said all."""
    ours, theirs = (
        VideoQA("builtin", device="cpu", settings=Settings(allowed_roots=(DEMO_VIDEO.parent,), prefix_cache_bytes=size))
        for size in (None, 0)
    )
    questions = ["What happens in the video?", "What colour is the shape?", "Is it a circle?", "What shape is it?"]
    for options, lengths in (({}, 2), ({"stop": [" is"]}, 1), ({"max_new_tokens": 3}, 1)):
        answers = ours.ask_many(questions, [DEMO_VIDEO], num_frames=6, **options)
        alone = [theirs.ask(question, [DEMO_VIDEO], num_frames=6, **options) for question in questions]
        assert all(map(same, answers, alone))
        assert len({answer.usage.new_tokens for answer in answers}) >= lengths


@pytest.mark.parametrize(
    "how",
    [{"choices": ("yes", "no")}, {"logprobs": True}, {"temperature": 1.0, "seed": 1}, {"repetition_penalty": 1.3}],
)
def test_what_can_not_be_batched_is_asked_one_by_one(qa: VideoQA, plain: VideoQA, how: dict[str, Any]) -> None:
    options = {**ASKED, **how}
    if "choices" in how:
        del options["max_new_tokens"]
    answers = qa.ask_many(QUESTIONS, [video()], **options)
    assert all(
        same(answer, plain.ask(each, [video()], **options)) for each, answer in zip(QUESTIONS, answers, strict=True)
    )


def test_questions_with_the_video_in_another_place(qa: VideoQA, plain: VideoQA) -> None:
    questions = ["What moves in <video>?", "<video> What moves?"]
    answers = qa.ask_many(questions, [video()], **ASKED)
    assert all(
        same(answer, plain.ask(each, [video()], **ASKED)) for each, answer in zip(questions, answers, strict=True)
    )


def test_a_batch_is_no_larger_than_memory_allows(qa: VideoQA, plain: VideoQA, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    monkeypatch.setattr("video_tool.models.kv_caches.free_bytes", lambda _: 100_000)
    layer = model(qa)._model.get_submodule("model.language_model.layers.0")
    handle = layer.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[0]))
    try:
        answers = qa.ask_many(QUESTIONS, [video()], **ASKED)
    finally:
        handle.remove()
    assert max(rows) < len(QUESTIONS)
    assert all(
        same(answer, plain.ask(each, [video()], **ASKED)) for each, answer in zip(QUESTIONS, answers, strict=True)
    )


def test_cancelling_ends_the_batch(qa: VideoQA) -> None:
    passes: list[torch.Tensor] = []
    with CancelScope() as scope:

        def stop(_: Any, given: tuple[torch.Tensor, ...]) -> None:
            passes.append(given[0])
            if len(passes) == 4:
                scope.cancel()

        handle = model(qa)._model.get_submodule("model.language_model.layers.1").register_forward_pre_hook(stop)
        try:
            with pytest.raises(CancelledError):
                qa.ask_many(QUESTIONS, [video()], **ASKED)
        finally:
            handle.remove()
    assert len(passes) <= 5


def test_one_question_that_can_not_be_asked_is_told_before_any_is(qa: VideoQA) -> None:
    with pytest.raises(QuestionError):
        qa.ask_many(["What moves?", " "], [video()], **ASKED)
    with pytest.raises(ContextLengthError):
        qa.ask_many(["What moves?", "red " * 300], [video()], **ASKED)
    assert qa.ask_many([], [video()], **ASKED) == []


def test_a_server_is_asked_all_at_once() -> None:
    builtin = VideoQA("builtin", device="cpu", settings=Settings(num_frames=6, allowed_roots=(DEMO_VIDEO.parent,)))
    with serve_model(builtin) as server:
        settings = Settings(num_frames=6, allowed_roots=(DEMO_VIDEO.parent,), allowed_hosts=("127.0.0.1",))
        remote = VideoQA("openai:small", base_url=server.base_url, api_key="none", settings=settings)
        questions = ["What happens in the video?", "What colour is the shape?"]
        answers = remote.ask_many(questions, [DEMO_VIDEO])
        assert [each.text for each in answers] == [remote.ask(each, [DEMO_VIDEO]).text for each in questions]
