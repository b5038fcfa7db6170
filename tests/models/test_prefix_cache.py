"""A question that begins as an earlier one: the same answer, from as few tokens as have to be computed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.checkpoints import INTERLEAVING, TOKENS, write_checkpoint
from tests.models.caching import OFF, kept, model, opened, same, spared, watched
from tests.models.test_transformers import image, video
from video_tool import CancelScope, FrameSequence, Settings, VideoQA
from video_tool.answer import VideoAnswer
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import CancelledError, OutOfMemoryError
from video_tool.models.prefix_cache import PrefixCache

ASKED: dict[str, Any] = {"num_frames": 4, "max_new_tokens": 8}


@pytest.fixture
def qa(checkpoint: Path) -> VideoQA:
    """With nothing kept so far."""
    return opened(checkpoint, Settings())


@pytest.fixture
def plain(checkpoint: Path) -> VideoQA:
    """The same, which keeps nothing."""
    return opened(checkpoint, OFF)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_further_question_computes_its_own_words_alone(qa: VideoQA, plain: VideoQA, count: int) -> None:
    videos = [video(seed=number) for number in range(count)]
    for place, question in enumerate(["What moves?", "Is the square red?", "What moves?"]):
        expected = plain.ask(question, videos, **ASKED)
        with watched(qa) as work:
            answer = qa.ask(question, videos, **ASKED)
        assert same(answer, expected)
        prompt = (expected.usage.visual_tokens or 0) + (expected.usage.text_tokens or 0)
        assert work.passes == [prompt - spared(answer), *[1] * (len(work.passes) - 1)]
        assert work.frames == (0 if place else 4 * count)
        assert spared(answer) >= (4 * count * TOKENS if place else 0)
    assert spared(answer) == prompt - 1, "of a question asked before, the last token alone is computed"


def test_other_media_are_not_taken_for_those_seen_before(qa: VideoQA, plain: VideoQA) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (60, 24, 32, 3), np.uint8)
    altered = pixels.copy()
    altered[0, 0, 0, 0] ^= 1
    one, changed, backwards = (FrameSequence(frames, fps=10) for frames in (pixels, altered, pixels[::-1]))
    two = video(seed=2)
    qa.ask("What moves?", [one, two], **ASKED)
    for shown in ([two, one], [changed, two], [backwards, two]):
        answer = qa.ask("What moves?", shown, **ASKED)
        assert spared(answer) == 0
        assert same(answer, plain.ask("What moves?", shown, **ASKED))
    with watched(qa) as work:
        answer = qa.ask("What moves?", [one, changed], **ASKED)
    assert (work.frames, spared(answer) >= 4 * TOKENS) == (0, True), "both were seen before, the first of them first"
    assert same(answer, plain.ask("What moves?", [one, changed], **ASKED))


def test_images_beside_videos(qa: VideoQA, plain: VideoQA) -> None:
    for pictures in ([image(1)], [image(1), image(2)], [image(2)]):
        for question in ("What moves?", "Is it in <image>" + " and <image>" * (len(pictures) - 1) + " or <video>?"):
            asked = {"videos": [video()], "images": pictures, **ASKED}
            assert same(qa.ask(question, **asked), plain.ask(question, **asked))


@pytest.mark.parametrize("template", [None, INTERLEAVING])
def test_each_turn_of_a_conversation_goes_on_from_the_last(tmp_path: Path, template: str | None) -> None:
    folder = write_checkpoint(tmp_path, **({"template": template} if template else {}))
    ours, theirs = (
        VideoQA(folder, device="cpu", settings=settings).conversation([video()], num_frames=4)
        for settings in (Settings(), OFF)
    )
    before = 0
    for question, new in (("What moves?", []), ("Left or right?", []), ("And here?", [video(seed=3)]), ("Sure?", [])):
        answer = ours.ask(question, new, max_new_tokens=6)
        assert same(answer, theirs.ask(question, new, max_new_tokens=6))
        assert spared(answer) >= before
        before = (answer.usage.visual_tokens or 0) + (answer.usage.text_tokens or 0) - 12
    assert before > 0


def test_choices_read_the_prompt_once(qa: VideoQA, plain: VideoQA) -> None:
    choices = ["yes", "no", "left or right"]
    expected = plain.ask("Is it red?", [video()], num_frames=4, choices=choices)
    for seen in (4, 0):
        with watched(qa) as work:
            answer = qa.ask("Is it red?", [video()], num_frames=4, choices=choices)
        assert (work.frames, len(work.passes), answer.text) == (seen, 1 + len(choices), expected.text)
        assert sum(work.passes[1:]) <= sum(choice.tokens for choice in expected.choices)
        for one, other in zip(answer.choices, expected.choices, strict=True):
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


def test_logprobs_are_those_of_the_whole_prompt(qa: VideoQA, plain: VideoQA) -> None:
    expected = plain.ask("Is it red?", [video()], logprobs=True, **ASKED)
    for _ in range(2):
        answer = qa.ask("Is it red?", [video()], logprobs=True, **ASKED)
        assert [each.token for each in answer.logprobs] == [each.token for each in expected.logprobs]
        assert [each.logprob for each in answer.logprobs] == pytest.approx(
            [each.logprob for each in expected.logprobs], abs=1e-4
        )


def test_a_seed_draws_the_same_again_whatever_was_asked_before(qa: VideoQA) -> None:
    drawn = [qa.ask("What moves?", [video()], temperature=1.0, seed=3, logprobs=True, **ASKED) for _ in range(2)]
    assert drawn[0].logprobs == drawn[1].logprobs
    assert [each.prefix_cache and each.prefix_cache.unused for each in drawn] == ["a seed is given"] * 2


def test_nothing_is_kept_where_nothing_may_be(qa: VideoQA, plain: VideoQA) -> None:
    qa.ask("What moves?", [video()], **ASKED)
    answer = plain.ask("What moves?", [video()], **ASKED)
    assert (spared(answer), answer.prefix_cache and answer.prefix_cache.unused) == (0, "prefix_cache_bytes is 0")


def test_the_least_recently_used_makes_room(checkpoint: Path, qa: VideoQA) -> None:
    first = qa.ask("What moves?", [video(seed=1)], **ASKED)
    assert first.prefix_cache is not None
    room = first.prefix_cache.bytes * 5 // 2
    kept(qa).clear()
    small = VideoQA(checkpoint, device="cpu", dtype="float32", settings=Settings(prefix_cache_bytes=room))
    for seed, known in ((1, False), (2, False), (1, True), (3, False), (1, True), (2, False)):
        answer = small.ask("What moves?", [video(seed=seed)], **ASKED)
        assert (spared(answer) > 0) == known, seed
        assert kept(small).bytes <= room
    tiny = VideoQA(checkpoint, device="cpu", dtype="float32", settings=Settings(prefix_cache_bytes=1))
    assert spared(tiny.ask("What moves?", [video(seed=2)], **ASKED)) == 0
    assert kept(tiny).bytes == 0


def test_callers_at_once_get_the_answers_of_callers_in_turn(qa: VideoQA, plain: VideoQA) -> None:
    asked = [(question, video(seed=seed)) for question in ("What moves?", "Is it red?", "Left?") for seed in (1, 2)]
    expected = [plain.ask(question, [about], **ASKED) for question, about in asked]
    hits, misses = kept(qa).hits, kept(qa).misses
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda each: qa.ask(each[0], [each[1]], **ASKED), asked))
    assert all(map(same, answers, expected))
    assert (kept(qa).hits - hits, kept(qa).misses - misses) == (4, 2)


def test_a_prefill_that_was_cancelled_leaves_nothing(qa: VideoQA, plain: VideoQA) -> None:
    layer = model(qa)._model.get_submodule("model.language_model.layers.1")
    with CancelScope() as scope:
        handle = layer.register_forward_pre_hook(lambda *_: scope.cancel())
        try:
            with pytest.raises(CancelledError):
                qa.ask("What moves?", [video()], **ASKED)
        finally:
            handle.remove()
    assert kept(qa).bytes == 0
    answer = qa.ask("What moves?", [video()], **ASKED)
    assert (same(answer, plain.ask("What moves?", [video()], **ASKED)), spared(answer)) == (True, 0)


def test_what_is_kept_gives_way_to_a_question_that_does_not_fit_beside_it(qa: VideoQA, plain: VideoQA) -> None:
    qa.ask("What moves?", [video(seed=1)], **ASKED)
    full: list[int] = []

    def run_out(*_: Any) -> None:
        if kept(qa).bytes:
            full.append(kept(qa).bytes)
            raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")

    handle = model(qa)._model.get_submodule("model.language_model.layers.0").register_forward_pre_hook(run_out)
    try:
        pieces = list(qa.stream("What moves?", [video(seed=2)], **ASKED))
    finally:
        handle.remove()
    assert len(full) == 1
    assert isinstance(pieces[-1], VideoAnswer)
    assert same(pieces[-1], plain.ask("What moves?", [video(seed=2)], **ASKED))


def test_nothing_is_kept_once_memory_has_run_out(qa: VideoQA) -> None:
    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")

    qa.ask("What moves?", [video()], **ASKED)
    handle = model(qa)._model.get_submodule("lm_head").register_forward_pre_hook(run_out)
    try:
        with pytest.raises(OutOfMemoryError):
            qa.ask("What moves?", [video()], **ASKED)
    finally:
        handle.remove()
    assert kept(qa).bytes == 0


def test_the_built_in_model() -> None:
    ours, theirs = (
        VideoQA("builtin", device="cpu", settings=Settings(allowed_roots=(DEMO_VIDEO.parent,), prefix_cache_bytes=size))
        for size in (None, 0)
    )
    for question in ("What happens in the video?", "What colour is the shape?", "What happens in the video?"):
        answer = ours.ask(question, [DEMO_VIDEO], num_frames=6)
        assert same(answer, theirs.ask(question, [DEMO_VIDEO], num_frames=6))
    assert spared(answer) > 0


@pytest.mark.parametrize("device_map", [{"": "cpu"}, {"model": "disk", "lm_head": "cpu"}], ids=["cpu", "disk"])
def test_a_model_that_is_spread(checkpoint: Path, plain: VideoQA, device_map: dict[str, str]) -> None:
    spread = VideoQA(checkpoint, device_map=device_map, dtype="float32")
    for question in ("What moves?", "Is it red?"):
        answer = spread.ask(question, [video()], **ASKED)
        assert same(answer, plain.ask(question, [video()], **ASKED))
    assert spared(answer) >= 4 * TOKENS


def _layers(tokens: np.ndarray[Any, Any]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys and values that tell which token they are of."""
    keys = torch.tensor(tokens, dtype=torch.float32).reshape(1, 1, -1, 1)
    return [(keys.clone(), keys + 1000), (keys + 2000, keys + 3000)]


prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=12)


@given(prompts, st.integers(0, 600))
def test_a_tree_gives_back_what_was_put_in(asked: list[list[int]], budget: int) -> None:
    cache = PrefixCache()
    everything: list[list[int]] = []
    for prompt in asked:
        tokens = np.array(prompt, np.int64)
        found = cache.shared(tokens)
        assert found <= max((_common(prompt, each) for each in everything), default=0)
        if found:
            for pieces, wanted in zip(cache.take(tokens[:found]), _layers(tokens[:found]), strict=True):
                given = [torch.cat(parts, dim=-2)[..., :found, :] for parts in zip(*pieces, strict=True)]
                assert all(map(torch.equal, given, wanted))
        cache.keep(tokens, _layers(tokens), budget)
        everything.append(prompt)
        assert cache.bytes <= budget
        assert cache.bytes == sum(segment.bytes for segment in cache._segments())


@given(prompts, st.integers(0, 600), st.integers(0, 600))
def test_what_spills_is_counted_and_comes_back(asked: list[list[int]], budget: int, spill: int) -> None:
    """The tree's books; that what is in main memory leaves a GPU needs one."""
    cache = PrefixCache()
    for prompt in asked:
        tokens = np.array(prompt, np.int64)
        found = cache.shared(tokens)
        if found:
            for pieces, wanted in zip(cache.take(tokens[:found]), _layers(tokens[:found]), strict=True):
                given = [torch.cat(parts, dim=-2)[..., :found, :] for parts in zip(*pieces, strict=True)]
                assert all(map(torch.equal, given, wanted))
        cache.keep(tokens, _layers(tokens), budget, spill)
        assert cache.bytes <= budget
        assert cache.spilled <= spill
        for spilled, counted in ((False, cache.bytes), (True, cache.spilled)):
            assert counted == sum(each.bytes for each in cache._segments() if each.spilled == spilled)
        for segment in cache._segments():
            assert all(child.spilled for child in segment.children.values()) or not segment.spilled
    cache.trim(0, 0)
    assert (cache.bytes, cache.spilled, list(cache._segments())) == (0, 0, [])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_full_gpu_spills_to_main_memory(checkpoint: Path) -> None:
    qa = VideoQA(checkpoint, device="cuda:0", dtype="float32")
    qa.load()
    kept(qa).clear()
    first = qa.ask("What moves?", [video(seed=1)], **ASKED)
    kept(qa).trim(0, 1 << 30)
    assert (kept(qa).bytes, kept(qa).spilled > 0) == (0, True)
    assert all(each.device.type == "cpu" for part in kept(qa)._segments() for layer in part.layers for each in layer)
    again = qa.ask("What moves?", [video(seed=1)], **ASKED)
    assert (again.text, spared(again) > 0) == (first.text, True)
    assert (kept(qa).bytes > 0, kept(qa).spilled) == (True, 0)
    assert all(each.device.type == "cuda" for part in kept(qa)._segments() for layer in part.layers for each in layer)


@given(prompts)
def test_a_tree_with_room_forgets_nothing_and_keeps_nothing_twice(asked: list[list[int]]) -> None:
    cache = PrefixCache()
    for prompt in asked:
        cache.keep(np.array(prompt, np.int64), _layers(np.array(prompt, np.int64)), 1 << 20)
    assert all(cache.shared(np.array(prompt, np.int64)) == len(prompt) for prompt in asked)
    beginnings = {tuple(prompt[: end + 1]) for prompt in asked for end in range(len(prompt))}
    assert sum(len(segment.tokens) for segment in cache._segments()) == len(beginnings)


def _common(one: list[int], other: list[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
