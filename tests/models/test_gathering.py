"""Questions that are asked at the same time: answered together, each as it would be alone."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.caching import OFF, kept, model, opened, same, watched
from tests.models.test_transformers import video
from tests.stopping import SECONDS
from video_tool import CancelScope, Settings, VideoQA
from video_tool.answer import Usage, VideoAnswer
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import CancelledError
from video_tool.models import Generation, gathering
from video_tool.models.base import Said
from video_tool.models.gathering import Asked, Gatherer, Turn
from video_tool.progress import OnProgress, Progress

QUESTIONS = ["What moves?", "Is the square red, or is it blue?", "Left?", "Are these two cats doing the same thing?"]
ASKED: dict[str, Any] = {"num_frames": 4, "max_new_tokens": 8}
LAYER = "model.language_model.layers.0"


@pytest.fixture
def qa(checkpoint: Path) -> VideoQA:
    return opened(checkpoint, Settings())


@pytest.fixture
def plain(checkpoint: Path) -> VideoQA:
    """The same weights, for one at a time."""
    return opened(checkpoint, OFF)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def line(qa: VideoQA) -> Gatherer:
    return model(qa)._loaded.gatherer


def in_line(gatherer: Gatherer, count: int) -> None:
    """Returns when so many stand in line."""
    with gatherer._changed:
        assert gatherer._changed.wait_for(lambda: len(gatherer._line) == count, SECONDS)


@contextmanager
def hooked(qa: VideoQA, hook: Callable[[torch.Tensor], object]) -> Iterator[None]:
    """Has each pass told, by what goes through the first layer: (rows, tokens, size)."""
    layer = model(qa)._model.get_submodule(LAYER)
    handle = layer.register_forward_pre_hook(lambda _, given: hook(given[0]) and None)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def occupied(qa: VideoQA) -> Iterator[Callable[[int], None]]:
    """The weights answer somebody whom nobody can join, until the block ends. Gives what waits for a line so long."""
    began, go_on = threading.Event(), threading.Event()

    def hold(_: torch.Tensor) -> None:
        began.set()
        assert go_on.wait(SECONDS)

    with ThreadPoolExecutor(1) as thread, hooked(qa, hold):
        first = thread.submit(qa.ask, "Why?", [video(seed=99)], num_frames=1, max_new_tokens=1, temperature=1.0, seed=1)
        assert began.wait(SECONDS)
        try:
            yield lambda count: in_line(line(qa), count)
        finally:
            go_on.set()
        first.result()


def telling(qa: VideoQA, on_progress: OnProgress) -> VideoQA:
    """An engine with the same weights, and with progress of its own."""

    def tokens(news: Progress) -> None:
        if news.stage == "generate":
            on_progress(news)

    other = VideoQA(qa.model, device="cpu", dtype="float32", on_progress=tokens)
    other.load()
    return other


def all_at_once(
    qa: VideoQA, threads: ThreadPoolExecutor, asks: Sequence[Callable[[], VideoAnswer]]
) -> list[VideoAnswer]:
    """The answers to what is asked in this order while the weights are occupied."""
    with occupied(qa) as until:
        asked: list[Future[VideoAnswer]] = []
        for number, ask in enumerate(asks):
            asked.append(threads.submit(ask))
            until(number + 1)
    return [each.result() for each in asked]


def asking(qa: VideoQA, question: str, about: int = 0, **options: Any) -> Callable[[], VideoAnswer]:
    return lambda: qa.ask(question, [video(seed=about)], **{**ASKED, **options})


def test_eight_about_one_video_are_one_batch(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    questions = [*QUESTIONS, *(f"{each} Yes or no?" for each in QUESTIONS)]
    expected = [plain.ask(each, [video()], **ASKED) for each in questions]
    with watched(qa) as work:
        answers = all_at_once(qa, threads, [asking(qa, each) for each in questions])
    assert all(map(same, answers, expected))
    assert [answer.batch for answer in answers] == [8] * 8
    assert work.frames == 1 + 4, "the other's, and those of the video once"
    assert len(work.passes) <= 1 + 1 + ASKED["max_new_tokens"]
    assert all(answer.prefix_cache and answer.prefix_cache.tokens for answer in answers[1:])
    assert {each.batch for each in expected} == {1}


def test_tasks_of_an_event_loop(qa: VideoQA, plain: VideoQA) -> None:
    async def ask_all() -> list[VideoAnswer]:
        with occupied(qa) as until:
            asked = [asyncio.ensure_future(qa.aask(each, [video()], **ASKED)) for each in QUESTIONS]
            await asyncio.to_thread(until, len(QUESTIONS))
        return await asyncio.gather(*asked)

    answers = asyncio.run(ask_all())
    assert all(same(each, plain.ask(words, [video()], **ASKED)) for words, each in zip(QUESTIONS, answers, strict=True))
    assert [answer.batch for answer in answers] == [len(QUESTIONS)] * len(QUESTIONS)


def test_different_videos_are_read_one_by_one_and_answered_together(
    qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor
) -> None:
    about = [(words, seed) for seed in (1, 2, 3) for words in QUESTIONS[: seed % 3 + 1]]
    expected = [plain.ask(words, [video(seed=seed)], **ASKED) for words, seed in about]
    with watched(qa) as work:
        answers = all_at_once(qa, threads, [asking(qa, words, seed) for words, seed in about])
    assert all(map(same, answers, expected))
    assert [answer.batch for answer in answers] == [len(about)] * len(about)
    assert work.frames == 1 + 3 * 4
    assert len(work.passes) <= 1 + 3 + ASKED["max_new_tokens"]


def test_nobody_waits_for_others_long_videos(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    """Where reading them takes longer than the answers; once they are known, nothing is in the way."""
    asks = [asking(qa, "What moves?", seed, max_new_tokens=2) for seed in (1, 2, 3)]
    expected = [plain.ask("What moves?", [video(seed=seed)], num_frames=4, max_new_tokens=2) for seed in (1, 2, 3)]
    for together in (1, 3):
        answers = all_at_once(qa, threads, asks)
        assert all(map(same, answers, expected))
        assert [answer.batch for answer in answers] == [together] * 3


def test_padding_stays_below_a_share(qa: VideoQA, threads: ThreadPoolExecutor) -> None:
    """A short prompt is not filled up to a long one."""
    asks = [
        lambda count=count: qa.ask("What?", [video(seed=count)], num_frames=count, max_new_tokens=8)
        for count in (1, 1, 16, 16)
    ]
    for ask in asks:
        ask()
    answers = all_at_once(qa, threads, [asks[0], asks[2], asks[1], asks[3]])
    assert [answer.batch for answer in answers] == [2, 2, 2, 2], "not four"


def test_each_keeps_its_own_options(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    whole = plain.ask("What moves?", [video()], **ASKED).text
    options: list[dict[str, Any]] = [
        {"max_new_tokens": 3},
        {"stop": [whole[len(whole) // 2]]},
        {"temperature": 1.0, "seed": 5},
        {"max_seconds": 1e-9},
        {"choices": ("yes", "no"), "max_new_tokens": 100},
        {"repetition_penalty": 1.3},
        {"logprobs": True},
        {},
    ]
    answers = all_at_once(qa, threads, [asking(qa, "What moves?", **each) for each in options])
    for answer, each in zip(answers, options, strict=True):
        assert same(answer, plain.ask("What moves?", [video()], **{**ASKED, **each})), each
    assert [answer.batch for answer in answers] == [4, 4, 1, 4, 1, 1, 1, 4]
    assert [answers[0].finish_reason, answers[1].finish_reason, answers[3].finish_reason] == ["length", "stop", "time"]


def test_pieces_are_told_to_whom_they_belong(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    def stream(question: str) -> list[str | VideoAnswer]:
        return list(qa.stream(question, [video()], **ASKED))

    with occupied(qa) as until:
        asked = [threads.submit(stream, each) for each in QUESTIONS]
        until(len(QUESTIONS))
    for question, each in zip(QUESTIONS, asked, strict=True):
        *pieces, answer = each.result()
        assert isinstance(answer, VideoAnswer)
        assert answer.batch == len(QUESTIONS)
        assert len(pieces) > 1
        assert "".join(map(str, pieces)) == answer.text == plain.ask(question, [video()], **ASKED).text


def test_who_comes_later_joins_between_two_tokens(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    """The first is answered alone; the second joins it, and then a third, about another video, the two."""
    told: list[Future[VideoAnswer]] = []

    def on_progress(news: Progress) -> None:
        if news.done in (2, 4):
            told.append(threads.submit(asking(qa, QUESTIONS[len(told) + 1], about=len(told))))
            in_line(line(qa), 1)

    first = telling(qa, on_progress)
    with watched(qa) as work:
        answers = [first.ask(QUESTIONS[0], [video(seed=0)], **ASKED)]
        answers += [each.result() for each in told]
    about = zip(QUESTIONS, (0, 0, 1), strict=False)
    expected = [plain.ask(words, [video(seed=seed)], **ASKED) for words, seed in about]
    assert all(map(same, answers, expected))
    assert [answer.batch for answer in answers] == [3, 3, 3]
    assert work.frames == 2 * 4
    assert len(work.passes) <= 2 + 4 + ASKED["max_new_tokens"]


def test_who_is_cancelled_leaves_the_others(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    scope, left = CancelScope(), threading.Event()

    def leave() -> None:
        with scope:
            qa.ask(QUESTIONS[1], [video()], **ASKED)

    def on_progress(news: Progress) -> None:
        if news.done == 3:
            scope.cancel()
            assert left.wait(SECONDS), "who is cancelled does not wait for the others"

    first = telling(qa, on_progress)
    with occupied(qa) as until:
        stays = [threads.submit(asking(first, QUESTIONS[0]))]
        until(1)
        leaves = threads.submit(leave)
        leaves.add_done_callback(lambda _: left.set())
        until(2)
        stays.append(threads.submit(asking(qa, QUESTIONS[2])))
        until(3)
    with pytest.raises(CancelledError):
        leaves.result()
    for words, each in zip((QUESTIONS[0], QUESTIONS[2]), stays, strict=True):
        assert same(each.result(), plain.ask(words, [video()], **ASKED))
        assert each.result().batch == 3


def test_a_batch_that_all_have_left_ends_within_a_layer(qa: VideoQA, threads: ThreadPoolExecutor) -> None:
    scopes = [CancelScope(), CancelScope()]
    passes: list[int] = []

    def ask(scope: CancelScope) -> None:
        with scope:
            qa.ask("What moves?", [video()], **ASKED)

    def stop(given: torch.Tensor) -> None:
        passes.append(given.shape[0])
        if passes.count(2) == 2:
            for scope in scopes:
                scope.cancel()

    with occupied(qa) as until:
        asked = [threads.submit(ask, scope) for scope in scopes]
        until(2)
        handle = model(qa)._model.get_submodule(LAYER).register_forward_pre_hook(lambda _, given: stop(given[0]))
    try:
        for each in asked:
            with pytest.raises(CancelledError):
                each.result()
        assert passes.count(2) == 2
    finally:
        handle.remove()
    assert not [thread for thread in threading.enumerate() if thread.name == "batch"]


def test_who_leaves_the_line_takes_the_pixels_along(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    """The second of two about one video waits without: they are made again for it."""
    scope = CancelScope()

    def leave() -> None:
        with scope:
            qa.ask(QUESTIONS[0], [video()], **ASKED)

    with occupied(qa) as until:
        leaves = threads.submit(leave)
        until(1)
        stays = threads.submit(asking(qa, QUESTIONS[1]))
        until(2)
        scope.cancel()
        until(1)
    with pytest.raises(CancelledError):
        leaves.result()
    assert same(stays.result(), plain.ask(QUESTIONS[1], [video()], **ASKED))


def test_what_a_callback_raises_is_its_asker_s_alone(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    def on_progress(news: Progress) -> None:
        if news.done == 3:
            raise ZeroDivisionError

    broken = telling(qa, on_progress)
    with occupied(qa) as until:
        asked = [threads.submit(asking(each, QUESTIONS[number])) for number, each in enumerate((qa, broken, qa))]
        until(3)
    with pytest.raises(ZeroDivisionError):
        asked[1].result()
    for number in (0, 2):
        assert same(asked[number].result(), plain.ask(QUESTIONS[number], [video()], **ASKED))
        assert asked[number].result().batch == 3


def test_what_does_not_fit_together_is_answered_one_by_one(
    qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor
) -> None:
    """Memory runs out amid the answers; what was told of them is not told again."""
    batches: list[int] = []

    def run_out(given: torch.Tensor) -> None:
        if given.shape[0] > 1:
            batches.append(given.shape[0])
            if len(batches) == 5:
                raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")

    def stream(question: str) -> list[str | VideoAnswer]:
        return list(qa.stream(question, [video()], **ASKED))

    with hooked(qa, run_out):
        with occupied(qa) as until:
            asked = [threads.submit(stream, each) for each in QUESTIONS]
            until(len(QUESTIONS))
        pieces = [each.result() for each in asked]
    assert batches == [len(QUESTIONS)] * 5
    for question, (*told, answer) in zip(QUESTIONS, pieces, strict=True):
        assert isinstance(answer, VideoAnswer)
        assert "".join(map(str, told)) == answer.text == plain.ask(question, [video()], **ASKED).text
        assert answer.batch == 1


def test_nobody_waits_longer_for_those_who_came_later(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    """An older question that fits with nobody: shorter answers may go along before it, longer ones may not."""
    short = {"max_new_tokens": 4}
    asks = [
        asking(qa, QUESTIONS[0], **short),
        asking(qa, QUESTIONS[1], temperature=1.0, seed=1),
        asking(qa, QUESTIONS[2]),
        asking(qa, QUESTIONS[3], **short),
    ]
    answers = all_at_once(qa, threads, asks)
    assert [answer.batch for answer in answers] == [2, 1, 1, 2]
    assert same(answers[2], plain.ask(QUESTIONS[2], [video()], **ASKED))


def test_nobody_joins_past_an_older_question(qa: VideoQA, threads: ThreadPoolExecutor) -> None:
    told: list[Future[VideoAnswer]] = []

    def on_progress(news: Progress) -> None:
        if news.done == 2:
            for number, options in enumerate(({"temperature": 1.0, "seed": 1}, {})):
                told.append(threads.submit(asking(qa, QUESTIONS[number], **options)))
                in_line(line(qa), number + 1)

    answer = telling(qa, on_progress).ask(QUESTIONS[0], [video()], **ASKED)
    assert [each.batch for each in (answer, *(one.result() for one in told))] == [1, 1, 1]


def test_conversations_side_by_side(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    ours = [qa.conversation([video(seed=seed)], num_frames=4) for seed in (0, 0, 1)]
    theirs = [plain.conversation([video(seed=seed)], num_frames=4) for seed in (0, 0, 1)]
    for turn in range(3):
        words = [f"{QUESTIONS[(turn + number) % 4]}" for number in range(3)]
        asks = [
            lambda talk=talk, each=each: talk.ask(each, max_new_tokens=4)
            for talk, each in zip(ours, words, strict=True)
        ]
        answers = all_at_once(qa, threads, asks)
        expected = [talk.ask(each, max_new_tokens=4) for talk, each in zip(theirs, words, strict=True)]
        assert all(map(same, answers, expected))
        assert [answer.batch for answer in answers] == [3] * 3


def test_the_built_in_model(threads: ThreadPoolExecutor) -> None:
    settings = Settings(allowed_roots=(DEMO_VIDEO.parent,), num_frames=6)
    qa = VideoQA("builtin", device="cpu", settings=settings)
    questions = ["What happens in the video?", "What colour is the shape?", "Is it a circle?", "What shape is it?"]
    expected = [qa.ask(each, [DEMO_VIDEO]) for each in questions]
    for prefixes_are_known in (True, False):
        if not prefixes_are_known:
            kept(qa).clear()
        answers = all_at_once(qa, threads, [lambda each=each: qa.ask(each, [DEMO_VIDEO]) for each in questions])
        assert all(map(same, answers, expected))
        assert [answer.batch for answer in answers] == [4] * 4


def test_weights_are_let_go_of_after_the_last_answer(checkpoint: Path, threads: ThreadPoolExecutor) -> None:
    qa = VideoQA(checkpoint, device="cpu", dtype="bfloat16")
    qa.load()
    left = weakref.ref(model(qa)._model.lm_head.weight)
    with occupied(qa) as until:
        asked = [threads.submit(asking(qa, each)) for each in QUESTIONS]
        until(len(QUESTIONS))
        qa.unload()
    assert [each.result().batch for each in asked] == [4] * 4
    asked.clear()
    assert left() is None


class Number(Asked):
    """A question that is answered at once, with how many were together; odd ones go with odd ones.

    Args:
        number: what is asked.
    """

    def __init__(self, number: int) -> None:
        super().__init__(1)
        self.number = number

    def alone(self, wanted: Callable[[], bool]) -> Generation:
        return self._found(1)

    def goes_with(self, others: Sequence[Asked]) -> bool:
        return all(isinstance(each, Number) and each.number % 2 == self.number % 2 for each in others)

    def stand_behind(self, line: Sequence[Asked]) -> None: ...

    def together(self, turn: Turn) -> None:
        for each in turn.asked:
            each.answer = self._found(len(turn.asked))
        turn.heard()

    def _found(self, together: int) -> Generation:
        usage = Usage(visual_tokens=0, text_tokens=0, new_tokens=0)
        return Generation(Said("", (), "stop"), usage, 0.0, 0.0, None, together)


def test_a_lone_question_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would wait for an hour."""
    monkeypatch.setattr(gathering, "_PAUSE", 3600.0)
    monkeypatch.setattr(gathering, "_LONGEST_PAUSE", 3600.0)
    gatherer = Gatherer()
    for number in range(3):
        assert gatherer.answer(lambda number=number: [Number(number)])[0].batch == 1


def test_who_is_on_the_way_is_waited_for(monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor) -> None:
    monkeypatch.setattr(gathering, "_PAUSE", 3600.0)
    monkeypatch.setattr(gathering, "_LONGEST_PAUSE", 3600.0)
    gatherer = Gatherer()
    coming, come = threading.Event(), threading.Event()

    def prepare() -> list[Number]:
        coming.set()
        assert come.wait(SECONDS)
        return [Number(3)]

    later = threads.submit(gatherer.answer, prepare)
    assert coming.wait(SECONDS)
    first = threads.submit(gatherer.answer, lambda: [Number(1)])
    in_line(gatherer, 1)
    come.set()
    assert [each.batch for each in (*first.result(), *later.result())] == [2, 2]


def test_hundreds_of_threads_get_what_they_asked(threads: ThreadPoolExecutor) -> None:
    gatherer = Gatherer()

    def ask(number: int) -> bool:
        with CancelScope() as scope:
            if number % 5 == 0:
                scope.cancel()
            try:
                return len(gatherer.answer(lambda: [Number(number), Number(number + 1)])) == 2
            except CancelledError:
                return number % 5 == 0

    assert all(threads.map(ask, range(400)))
    assert (gatherer._line, gatherer._busy, gatherer._coming) == ([], False, 0)
    assert gatherer.answer(lambda: [Number(1)])[0].batch == 1


def test_ask_many_stands_in_the_same_line(qa: VideoQA, plain: VideoQA, threads: ThreadPoolExecutor) -> None:
    with occupied(qa) as until:
        many = threads.submit(qa.ask_many, QUESTIONS[:3], [video()], **ASKED)
        until(3)
        one = threads.submit(asking(qa, QUESTIONS[3]))
        until(4)
    answers = [*many.result(), one.result()]
    assert all(same(each, plain.ask(words, [video()], **ASKED)) for words, each in zip(QUESTIONS, answers, strict=True))
    assert [answer.batch for answer in answers] == [4] * 4
