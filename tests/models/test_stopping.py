"""Models that nobody waits for any more stop within a layer, give back what they took, and answer the next question."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel

from tests.stopping import SECONDS, once
from video_tool import CancelScope, Settings, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import CancelledError, DeadlineError, VideoToolError
from video_tool.models import HeldModel
from video_tool.models.sharing import Shared
from video_tool.models.structured import token_index
from video_tool.models.transformers import TransformersModel
from video_tool.progress import Progress, ignore_progress

QUESTION = "What does the circle do?"
ASKED: dict[str, Any] = {"videos": [DEMO_VIDEO], "num_frames": 4}


class Reply(BaseModel):
    colour: str


@pytest.fixture
def engine(checkpoint: Path) -> VideoQA:
    # the vision tower has its turn with each question
    return VideoQA(checkpoint, device="cpu", settings=Settings(prefix_cache_bytes=0, feature_cache_bytes=0))


@contextmanager
def hooked(engine: VideoQA, name: str, hook: Callable[..., object]) -> Iterator[None]:
    """Has a module of the engine's model tell when its turn comes; what `hook` returns is of no interest."""
    engine.load()
    model = engine._held.model
    assert isinstance(model, TransformersModel)
    module = model._model.get_submodule(name)
    # after those that look whether the model is still wanted
    handle = module.register_forward_pre_hook(lambda _, given: hook(given) and None)
    try:
        yield
    finally:
        handle.remove()


FIRST, SECOND, TOWER = (
    "model.language_model.layers.0",
    "model.language_model.layers.1",
    "model.vision_tower.encoder.layers.0.mlp.fc1",
)


@pytest.mark.parametrize(
    ("at", "next_"),
    [
        (FIRST, "model.language_model.layers.0.self_attn.q_proj"),
        (TOWER, "model.vision_tower.encoder.layers.0.mlp.activation_fn"),
        (SECOND, "lm_head"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"choices": ("up", "down")}, {"logprobs": True}])
def test_prefill_ends_before_the_next_step(engine: VideoQA, at: str, next_: str, how: dict[str, Any]) -> None:
    before = engine.ask(QUESTION, **ASKED | how)
    went_on: list[object] = []
    taken: list[weakref.ref[torch.Tensor]] = []

    with CancelScope() as scope:

        def stop(given: tuple[torch.Tensor, ...]) -> None:
            taken.append(weakref.ref(given[0]))
            scope.cancel()

        gc.collect()
        gc.disable()
        try:
            with (
                hooked(engine, at, stop),
                hooked(engine, next_, went_on.append),
                pytest.raises(CancelledError) as caught,
            ):
                engine.ask(QUESTION, **ASKED | how)
            alive = [tensor() is not None for tensor in taken]
        finally:
            gc.enable()
    assert went_on == []
    assert alive == [False], "the error keeps what the layers were at, or a cycle does"
    assert caught.value.retryable
    after = engine.ask(QUESTION, **ASKED | how)
    assert (after.text, after.choices, after.logprobs) == (before.text, before.choices, before.logprobs)


def test_nothing_is_left_on_the_model(engine: VideoQA) -> None:
    def hooks() -> int:
        model = engine._held.model
        assert isinstance(model, TransformersModel)
        return sum(len(each._forward_pre_hooks) + len(each._forward_hooks) for each in model._model.modules())

    engine.ask(QUESTION, **ASKED)
    before = hooks()
    with CancelScope() as scope, hooked(engine, SECOND, lambda _: scope.cancel()), pytest.raises(CancelledError):
        engine.ask(QUESTION, **ASKED)
    assert hooks() == before


def test_the_second_choice_is_not_tried(engine: VideoQA) -> None:
    passes: list[object] = []
    with CancelScope() as scope:

        def count(given: object) -> None:
            passes.append(given)
            if len(passes) == 2:  # the first sees with what blank answers begin
                scope.cancel()

        with hooked(engine, FIRST, count), pytest.raises(CancelledError):
            engine.ask(QUESTION, **ASKED, choices=("up", "down", "left"))
    assert len(passes) == 2


def test_a_single_token_ends_within_a_layer(engine: VideoQA) -> None:
    passes: list[object] = []
    second: list[object] = []
    with CancelScope() as scope:

        def count(given: object) -> None:
            passes.append(given)
            if len(passes) == 3:
                scope.cancel()

        with hooked(engine, FIRST, count), hooked(engine, SECOND, second.append), pytest.raises(CancelledError):
            engine.ask(QUESTION, **ASKED)
    assert (len(passes), len(second)) == (3, 2)


def test_generating_stops_with_the_token(checkpoint: Path) -> None:
    tokens: list[int] = []

    def on_progress(news: Progress) -> None:
        if news.stage == "generate":
            tokens.append(news.done)
            scope.cancel()

    engine = VideoQA(checkpoint, device="cpu", on_progress=on_progress)
    with CancelScope() as scope, pytest.raises(CancelledError):
        engine.ask(QUESTION, **ASKED)
    assert tokens == [1]


@pytest.mark.parametrize("how", [{"response_format": Reply}, {"max_seconds": 60.0, "stop": ("never",)}])
def test_a_deadline_is_no_failure_of_the_model(engine: VideoQA, how: dict[str, Any]) -> None:
    engine.load()
    late = threading.Event()
    with CancelScope(0.5), hooked(engine, SECOND, lambda _: late.wait(0.6)), pytest.raises(DeadlineError):
        engine.ask(QUESTION, **ASKED | how)
    engine.ask(QUESTION, **ASKED | how)


def test_the_index_of_tokens_is_not_finished(engine: VideoQA) -> None:
    engine.load()
    model = engine._held.model
    assert isinstance(model, TransformersModel)
    with CancelScope() as scope:
        scope.cancel()
        with pytest.raises(CancelledError):
            token_index(model._vocabulary, "small")


def test_a_question_that_waits_for_the_model_is_freed(engine: VideoQA) -> None:
    """And the one that is being answered goes on."""
    before = engine.ask(QUESTION, **ASKED)
    began, go_on = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        began.set()
        assert go_on.wait(SECONDS)

    with ThreadPoolExecutor(1) as threads, hooked(engine, FIRST, hold):
        other = threads.submit(engine.ask, QUESTION, **ASKED)
        once(began)()
        with CancelScope(0.3), pytest.raises(DeadlineError):
            engine.ask(QUESTION, **ASKED)
        with CancelScope(0.3), pytest.raises(DeadlineError):
            VideoQA(engine.model, device="cpu").ask(QUESTION, **ASKED)  # the same weights
        go_on.set()
        assert other.result().text == before.text


class Loaded:
    """What somebody loads."""


def of_engine(held: HeldModel, load: Callable[[], Any]) -> object:
    with held.in_use(load) as used:
        return used.model


@pytest.mark.parametrize("get", [partial(Shared[Any]().get, "key"), partial(of_engine, HeldModel(None))])
def test_who_waits_for_others_loading_is_freed_and_loading_goes_on(get: Callable[..., object]) -> None:
    began, go_on = threading.Event(), threading.Event()

    def load() -> Loaded:
        began.set()
        assert go_on.wait(SECONDS)
        return Loaded()

    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(get, load)
        once(began)()
        with CancelScope(0.2), pytest.raises(DeadlineError):
            get(lambda: pytest.fail("one is enough"))
        go_on.set()
        assert isinstance(loading.result(), Loaded)


def test_a_model_that_was_loaded_for_nobody_is_kept(checkpoint: Path) -> None:
    def on_progress(news: Progress) -> None:
        if news.stage == "load" and news.done:
            scope.cancel()

    engine = VideoQA(checkpoint, device="cpu", on_progress=on_progress)
    with CancelScope() as scope, pytest.raises(CancelledError):
        engine.load()
    engine.on_progress = ignore_progress
    assert engine.load() == 0.0


def test_leaving_a_stream_ends_a_prefill(engine: VideoQA) -> None:
    """Nobody has to wait for the first piece to be rid of it."""
    began = threading.Event()
    later: list[object] = []
    with CancelScope() as scope:

        def stop(_: object) -> None:
            began.set()
            scope.cancel()

        with hooked(engine, FIRST, stop), hooked(engine, SECOND, later.append), pytest.raises(CancelledError):
            next(engine.stream(QUESTION, **ASKED))
    assert began.is_set()
    assert later == []


def test_eight_who_ask_at_once_and_of_whom_some_leave(engine: VideoQA) -> None:
    before = engine.ask(QUESTION, **ASKED).text

    def ask(number: int) -> str | type[VideoToolError]:
        with CancelScope() as scope:
            if number % 2:
                scope.cancel()
            try:
                return engine.ask(QUESTION, **ASKED).text
            except VideoToolError as error:
                return type(error)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [before, CancelledError] * 4
