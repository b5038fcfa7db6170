"""What was shown before goes through the vision tower no more, in whatever order; the answer is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.checkpoints import TOKENS, sentencepiece, write_checkpoint
from tests.models.caching import OFF, model, opened, same, watched
from tests.models.test_transformers import image, video
from video_tool import FrameSequence, Settings, VideoQA
from video_tool.answer import FeatureCacheUse, VideoAnswer
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import OutOfMemoryError
from video_tool.frames import Media, read_video
from video_tool.models.feature_cache import FeatureCache
from video_tool.models.features import Features, Form
from video_tool.prompt import Message, place_media
from video_tool.question import Sampling

ASKED: dict[str, Any] = {"num_frames": 4, "max_new_tokens": 8}
Pixels = NDArray[np.uint8]


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (4, 24, 32, 3), np.uint8)


@pytest.fixture
def qa(checkpoint: Path) -> VideoQA:
    """With nothing kept so far."""
    return opened(checkpoint, Settings())


@pytest.fixture
def plain(checkpoint: Path) -> VideoQA:
    """The same, which keeps nothing."""
    return opened(checkpoint, OFF)


def kept(qa: VideoQA) -> FeatureCache:
    return model(qa)._loaded.features


def use(answer: VideoAnswer) -> FeatureCacheUse:
    assert answer.feature_cache is not None
    return answer.feature_cache


def shown(frames: Pixels | Sequence[Pixels]) -> FrameSequence:
    return FrameSequence(np.stack(list(frames)), fps=1)


@contextmanager
def processed(qa: VideoQA, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many images went into each call of the image processor, those of noise that sizes are tried with left out."""
    counts: list[int] = []
    kind = type(model(qa).preprocessor.processor.image_processor)
    original = kind.preprocess

    def preprocess(self: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        out = original(self, images, *args, **kwargs)
        counts.append(len(out["pixel_values"]))
        return out

    with monkeypatch.context() as patched:
        patched.setattr(kind, "preprocess", preprocess)
        yield counts


def test_another_order_shows_the_tower_nothing(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    hits, misses = kept(qa).hits, kept(qa).misses
    qa.ask("What moves?", [shown(pixels)], **ASKED)
    for order in ([3, 1, 0, 2], [2, 1], [1]):
        frames = shown(pixels[order])
        expected = plain.ask("What moves?", [frames], **ASKED)
        with watched(qa) as work:
            answer = qa.ask("What moves?", [frames], **ASKED)
        assert same(answer, expected)
        assert (work.frames, use(answer).known, use(answer).computed) == (0, len(order), 0)
    assert (kept(qa).hits - hits, kept(qa).misses - misses) == (7, 4)


def test_new_frames_alone_go_through_the_tower(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    other = np.random.default_rng(6).integers(0, 256, pixels.shape, np.uint8)
    qa.ask("What moves?", [shown(pixels[:2])], **ASKED)
    mixed = shown([other[0], pixels[1], other[1], pixels[0]])
    with watched(qa) as work:
        answer = qa.ask("What moves?", [mixed], **ASKED)
    assert (work.frames, use(answer).known, use(answer).computed) == (2, 2, 2)
    assert same(answer, plain.ask("What moves?", [mixed], **ASKED))


def test_a_frame_that_is_shown_twice_is_looked_at_once(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    still = shown([pixels[0], pixels[1], pixels[0], pixels[0]])
    with watched(qa) as work:
        answer = qa.ask("What moves?", [still], **ASKED)
    assert (work.frames, use(answer).known, use(answer).computed) == (2, 2, 2)
    assert same(answer, plain.ask("What moves?", [still], **ASKED))


def test_behind_what_the_prefix_cache_knows(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    """A second video that begins as one before it, and another one that ends in known frames."""
    first, second = shown(pixels), shown(pixels[::-1])
    qa.ask("What moves?", [first], **ASKED)
    with watched(qa) as work:
        answer = qa.ask("Do they differ?", [first, second], images=[image(9)], **ASKED)
    assert answer.prefix_cache is not None
    assert answer.prefix_cache.tokens >= 4 * TOKENS
    assert (work.frames, use(answer).known, use(answer).computed) == (1, 4, 1)
    assert same(answer, plain.ask("Do they differ?", [first, second], images=[image(9)], **ASKED))
    answer = qa.ask("And now?", [first, second], images=[image(9)], **ASKED)
    assert (use(answer).known, use(answer).computed) == (0, 0), "the prefix cache knows them all"


def test_without_the_prefix_cache(checkpoint: Path, plain: VideoQA, pixels: Pixels) -> None:
    qa = opened(checkpoint, Settings(prefix_cache_bytes=0))
    for question in ("What moves?", "Is it red?"):
        answer = qa.ask(question, [shown(pixels)], **ASKED)
        assert same(answer, plain.ask(question, [shown(pixels)], **ASKED))
    assert (use(answer).known, answer.prefix_cache and answer.prefix_cache.tokens) == (4, 0)


def test_another_conversation_about_the_same_frames(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    qa.ask("What moves?", [shown(pixels)], **ASKED)
    with watched(qa) as work:
        talks = [each.conversation([shown(pixels)], system="Be brief.", num_frames=4) for each in (qa, plain)]
        for question in ("What moves?", "Left or right?"):
            assert same(*(talk.ask(question, max_new_tokens=6) for talk in talks))
    assert work.frames == 4 * 2, "those of the one without caches: both have the same weights"


def test_several_questions_at_once(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    questions = ["What moves?", "Is it red?", "Left?"]
    qa.ask("What moves?", [shown(pixels)], **ASKED)
    backwards = shown(pixels[::-1])
    with watched(qa) as work:
        answers = qa.ask_many(questions, [backwards], **ASKED)
    assert work.frames == 0
    assert [(use(answer).known, use(answer).computed) for answer in answers] == [(4, 0), (0, 0), (0, 0)]
    assert all(map(same, answers, plain.ask_many(questions, [backwards], **ASKED)))


def test_choices(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    asked: dict[str, Any] = {"num_frames": 4, "choices": ["yes", "no", "left or right"]}
    qa.ask("Is it red?", [shown(pixels)], **asked)
    answer, expected = (each.ask("Is it red?", [shown(pixels[::-1])], **asked) for each in (qa, plain))
    assert (use(answer).known, use(answer).computed) == (4, 0)
    for one, other in zip(answer.choices, expected.choices, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


def test_images_are_processed_once(qa: VideoQA, pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    qa.ask("What moves?", [shown(pixels)], **ASKED)
    new = np.random.default_rng(7).integers(0, 256, pixels.shape, np.uint8)
    for frames, expected in (
        (pixels, []),  # the prefix cache has them
        (pixels[::-1], []),  # the feature cache has them
        ([new[0], pixels[0], new[1], pixels[1]], [2]),
        (pixels[[0, 0, 1]], []),
    ):
        with processed(qa, monkeypatch) as counts:
            qa.ask("What else?", [shown(frames)], **ASKED)
        assert counts == expected
    with processed(qa, monkeypatch) as counts:
        qa.ask_many(["What else?", "And what?", "Where?"], [shown(pixels)], **ASKED)
    assert counts == []


@pytest.mark.parametrize("words", [None, sentencepiece])
def test_words_by_themselves_are_what_the_processor_makes(tmp_path: Path, words: Any) -> None:
    qa = opened(write_checkpoint(tmp_path, **({"words": words} if words else {})), Settings())
    preprocessor, expander = model(qa).preprocessor, model(qa)._prefiller._vision.expander
    texts = ("What moves?", "  Between <video>  and <video> ,<image> what?", "<image><video>\n\n<video> \t é?")
    for text in texts:
        media = {"videos": [video(seed=1), video(seed=2)], "images": [image(3)] if "<" in text else []}
        qa.ask(text, media["videos"], images=media["images"], num_frames=2, max_new_tokens=1)
        prompt = preprocessor.prompt(_messages(text, media))
        whole, ours = preprocessor.encode(prompt), expander.expand(prompt)
        assert ours is not None
        for name, value in ours.items():
            assert torch.equal(value, whole[name])


def _messages(text: str, media: dict[str, Any]) -> tuple[Message, ...]:
    videos = tuple(read_video(each, Sampling(num_frames=2), Settings()) for each in media["videos"])
    return (place_media(text, Media(videos, tuple(Image.fromarray(each) for each in media["images"]))),)


def test_a_seed_draws_the_same_whatever_was_looked_at_before(qa: VideoQA, pixels: Pixels) -> None:
    asked: dict[str, Any] = {"temperature": 1.0, "seed": 3, "logprobs": True, **ASKED}
    drawn = [qa.ask("What moves?", [shown(pixels)], **asked) for _ in range(2)]
    assert drawn[0].logprobs == drawn[1].logprobs
    assert [(use(each).unused, use(each).bytes) for each in drawn] == [("a seed is given", 0)] * 2


def test_nothing_is_kept_where_nothing_may_be(plain: VideoQA, pixels: Pixels) -> None:
    answers = [plain.ask("What moves?", [shown(pixels)], **ASKED) for _ in range(2)]
    first, second = map(use, answers)
    assert first == second  # nothing was looked for
    assert (first.known, first.computed, first.unused) == (0, 0, "feature_cache_bytes is 0")


def test_the_least_recently_used_makes_room(checkpoint: Path, pixels: Pixels) -> None:
    frame = TOKENS * 32 * 4
    qa = opened(checkpoint, Settings(prefix_cache_bytes=0, feature_cache_bytes=3 * frame))
    for order, known in (([0, 1], 0), ([0], 1), ([2, 3], 0), ([0], 1), ([1], 0)):
        answer = qa.ask("What moves?", [shown(pixels[order])], **ASKED)
        assert use(answer).known == known, order
        assert use(answer).bytes <= 3 * frame
    assert use(answer).bytes == 3 * frame


def test_nothing_is_kept_once_memory_has_run_out(qa: VideoQA, pixels: Pixels) -> None:
    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")

    qa.ask("What moves?", [shown(pixels)], **ASKED)
    assert kept(qa).bytes
    handle = model(qa)._model.get_submodule("model.vision_tower").register_forward_pre_hook(run_out)
    try:
        with pytest.raises(OutOfMemoryError):
            qa.ask("What moves?", [video(seed=8)], **ASKED)
    finally:
        handle.remove()
    assert kept(qa).bytes == 0


def test_what_is_kept_gives_way_to_a_question_that_does_not_fit_beside_it(
    checkpoint: Path, plain: VideoQA, pixels: Pixels
) -> None:
    qa = opened(checkpoint, Settings(prefix_cache_bytes=0))
    qa.ask("What moves?", [shown(pixels)], **ASKED)

    def run_out(*_: Any) -> None:
        if kept(qa).bytes:
            raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")

    handle = model(qa)._model.get_submodule("model.vision_tower").register_forward_pre_hook(run_out)
    try:
        answer = qa.ask("What moves?", [video(seed=8)], **ASKED)
    finally:
        handle.remove()
    assert same(answer, plain.ask("What moves?", [video(seed=8)], **ASKED))


def test_the_built_in_model(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (
        VideoQA("builtin", device="cpu", settings=settings.model_copy(update={"allowed_roots": (DEMO_VIDEO.parent,)}))
        for settings in (Settings(), OFF)
    )
    ours.load()
    model(ours).forget()
    asked: dict[str, Any] = {"videos": [DEMO_VIDEO], "num_frames": 6}
    ours.ask("What happens in the video?", **asked)
    with processed(ours, monkeypatch) as counts:
        answer = ours.ask("<video> What colour is the shape?", **asked)
        twice = ours.ask("Do both show the same?", [DEMO_VIDEO, DEMO_VIDEO], num_frames=6)
    assert counts == []
    assert same(answer, theirs.ask("<video> What colour is the shape?", **asked))
    assert same(twice, theirs.ask("Do both show the same?", [DEMO_VIDEO, DEMO_VIDEO], num_frames=6))
    assert (use(twice).known, use(twice).computed) == (6, 0)


def _features(size: int) -> Features:
    return Features((torch.zeros(size, 4, dtype=torch.uint8),), Form(dict, list, ()))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), max_size=40), st.integers(0, 80))
def test_a_cache_keeps_the_latest_within_its_budget(asked: list[tuple[int, int]], budget: int) -> None:
    cache = FeatureCache()
    recent: dict[bytes, Features] = {}
    for number, size in asked:
        name = bytes([number])
        found = cache.find(name)
        assert found is recent.get(name)
        if found is None and 4 * size <= budget:
            recent[name] = _features(size)
            cache.keep(name, recent[name], budget)
        elif found is not None:
            recent[name] = recent.pop(name)
        while sum(each.bytes for each in recent.values()) > budget:
            del recent[next(iter(recent))]
        assert cache.bytes == sum(each.bytes for each in recent.values()) <= budget
    cache.clear()
    assert (cache.bytes, cache.find(b"\0")) == (0, None)
