"""Keys and values in place: no copy for each token, half the memory in 8 bits, and long prompts in parts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tests.checkpoints import write_checkpoint
from tests.models.caching import OFF, kept, model, same, spared, watched
from tests.models.test_transformers import video
from video_tool import CancelScope, Settings, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import CancelledError, ModelError
from video_tool.models import chunking
from video_tool.models.chunking import can_divide
from video_tool.models.kv_cache import EightBitLayer, GrowingLayer

ASKED: dict[str, Any] = {"num_frames": 4, "max_new_tokens": 8}
HEADS, SIZE = 2, 16


def drawn(tokens: int, rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, HEADS, tokens, SIZE)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_a_layer_gives_out_what_transformers_would() -> None:
    ours, theirs = GrowingLayer(), DynamicCache().layer_class_to_replicate()
    for tokens in (5, 1, 1, 200, *[1] * 150, 3):
        keys, values = drawn(tokens), drawn(tokens)
        for one, other in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert torch.equal(one, other)
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert ours.get_mask_sizes(2) == theirs.get_mask_sizes(2)
    for change in (
        lambda layer: layer.crop(-9),
        lambda layer: layer.batch_repeat_interleave(3),
        lambda layer: layer.reorder_cache(torch.tensor([2, 0, 1])),
        lambda layer: layer.batch_select_indices(torch.tensor([0, 2])),
    ):
        for layer in (ours, theirs):
            change(layer)
        rows = theirs.keys.shape[0]
        keys, values = drawn(1, rows), drawn(1, rows)
        for one, other in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert torch.equal(one, other)


def test_tokens_move_seldom_and_little_memory_is_spare() -> None:
    layer = GrowingLayer(expected=500)
    layer.update(drawn(500), drawn(500))
    places = set[int]()
    for count in range(1, 1001):
        layer.update(drawn(1), drawn(1))
        assert layer.keys is not None
        places.add(layer.keys.data_ptr())
        room = layer.keys.untyped_storage().nbytes() // (HEADS * SIZE * 4)
        assert room <= 500 + 64 + 2 * count
    assert len(places) <= 5


def test_a_beginning_is_not_written_to() -> None:
    first = GrowingLayer()
    first.update(drawn(30), drawn(30))
    before = [each.clone() for each in first.stored]
    layer = GrowingLayer()
    layer.begin(
        [tuple(each[..., :20, :] for each in first.stored), tuple(each[..., 20:, :] for each in first.stored)], 25
    )
    assert layer.get_seq_length() == 25
    new = drawn(3)
    keys, _ = layer.update(new, new)
    assert torch.equal(keys, torch.cat([before[0][..., :25, :], new], dim=-2))
    assert all(map(torch.equal, first.stored, before))


@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 0.3), (torch.float16, 0.55), (torch.bfloat16, 0.55)])
def test_eight_bits_take_half_or_less(dtype: torch.dtype, share: float) -> None:
    layer = EightBitLayer(expected=100)
    keys, values = drawn(100).repeat(1, 1, 1, 4).to(dtype), 30 * drawn(100).repeat(1, 1, 1, 4).to(dtype)
    values[..., 3, :] = 0
    for given, found in zip((keys, values), layer.update(keys, values), strict=True):
        assert found.dtype == dtype
        most = given.abs().amax(-1, keepdim=True)
        assert bool(((found - given).abs() <= most / 127).all())
    taken = sum(each.numel() * each.element_size() for each in layer.stored)
    assert taken <= share * 2 * keys.numel() * keys.element_size()


@pytest.fixture
def small(checkpoint: Path) -> VideoQA:
    return VideoQA(checkpoint, device="cpu", dtype="float32", kv_cache="8bit")


def test_answers_with_eight_bits(small: VideoQA, checkpoint: Path) -> None:
    """The prefix cache holds the 8 bits, and a further question has the tokens of a cache that has seen nothing."""
    other = VideoQA(checkpoint, device="cpu", dtype="float32", kv_cache="8bit", settings=OFF)
    plain = VideoQA(checkpoint, device="cpu", dtype="float32")
    for question in ("What moves?", "Is it red?", "What moves?"):
        answer = small.ask(question, [video()], **ASKED)
        assert same(answer, other.ask(question, [video()], **ASKED))
        exact = plain.ask(question, [video()], **ASKED)
    assert spared(answer) == spared(exact) > 0
    assert (answer.model.kv_cache, exact.model.kv_cache) == ("8bit", None)
    assert kept(small).bytes <= 0.4 * kept(plain).bytes, "scales count for more where heads are this small"
    many = small.ask_many(["What moves?", "Is it red?", "Left?"], [video()], **ASKED)
    assert all(
        map(same, many, [small.ask(each, [video()], **ASKED) for each in ("What moves?", "Is it red?", "Left?")])
    )


def test_logits_with_eight_bits_are_close(small: VideoQA, checkpoint: Path) -> None:
    scores: list[list[float]] = []
    for qa in (small, VideoQA(checkpoint, device="cpu", dtype="float32")):
        answer = qa.ask("Is it red?", [video()], num_frames=4, choices=["yes", "no", "left"])
        scores.append([each.log_probability for each in answer.choices])
    assert scores[0] == pytest.approx(scores[1], abs=0.5, rel=0.02)


def test_the_built_in_model_says_the_same_in_eight_bits() -> None:
    settings = Settings(allowed_roots=(DEMO_VIDEO.parent,))
    small, plain = (VideoQA("builtin", device="cpu", settings=settings, kv_cache=each) for each in ("8bit", None))
    for question in ("What happens in the video?", "What colour is the shape?"):
        assert small.ask(question, [DEMO_VIDEO]).text == plain.ask(question, [DEMO_VIDEO]).text


def test_a_model_that_keeps_its_own_is_not_made_smaller(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "generation_config.json").write_text('{"cache_implementation": "static"}')
    with pytest.raises(ModelError, match="kv_cache is 8bit, and the checkpoint asks for a cache of another kind"):
        VideoQA(folder, device="cpu", kv_cache="8bit").load()


def test_a_long_prompt_goes_through_the_model_in_parts(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = ("What moves?", "Is it red?", "What moves?")
    whole = VideoQA(checkpoint, device="cpu", dtype="float32", settings=OFF)
    expected = [whole.ask(question, [video()], **ASKED) for question in questions]
    monkeypatch.setattr(chunking, "CHUNK", 16)
    monkeypatch.setattr(chunking, "LONG", 16)
    for settings in (Settings(), OFF):
        qa = VideoQA(checkpoint, device="cpu", dtype="float32", settings=settings)
        qa.load()
        kept(qa).clear()
        for number, question in enumerate(questions):
            with watched(qa) as work:
                answer = qa.ask(question, [video()], **ASKED)
            assert same(answer, expected[number])
            new = (answer.usage.visual_tokens or 0) + (answer.usage.text_tokens or 0) - spared(answer)
            parts = -(-new // 16)
            assert sum(work.passes[:parts]) == new
            assert max(work.passes) <= 16
    many = qa.ask_many(questions, [video()], **ASKED)
    assert all(map(same, many, expected))
    choices = [each.ask("Is it red?", [video()], num_frames=4, choices=["yes", "no"]).choices for each in (qa, whole)]
    for one, other in zip(*choices, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


def test_a_prompt_in_parts_is_cancelled_in_the_middle_of_any(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "CHUNK", 16)
    monkeypatch.setattr(chunking, "LONG", 16)
    qa = VideoQA(checkpoint, device="cpu", dtype="float32", settings=OFF)
    qa.load()
    passes: list[int] = []
    with CancelScope() as scope:

        def stop(_: Any, given: tuple[torch.Tensor, ...]) -> None:
            passes.append(given[0].shape[1])
            if len(passes) == 2:
                scope.cancel()

        text = model(qa)._model.get_submodule("model.language_model.layers.0")
        reached: list[int] = []
        handles = [
            text.self_attn.q_proj.register_forward_pre_hook(stop),
            text.self_attn.o_proj.register_forward_hook(lambda *_: reached.append(1)),
        ]
        try:
            with pytest.raises(CancelledError):
                qa.ask("What moves?", [video()], **ASKED)
        finally:
            for handle in handles:
                handle.remove()
    assert (passes, len(reached)) == ([16, 16], 1)


def test_what_can_not_be_divided(checkpoint: Path) -> None:
    qa = VideoQA(checkpoint, device="cpu", dtype="float32")
    qa.load()
    llava = model(qa)._model
    pixels, token = torch.zeros(1, 3, 44, 44), llava.config.image_token_id
    words, shown = torch.tensor([[1, 2, 3]]), torch.tensor([[1, token, token, 3]])
    assert can_divide(llava, words, {}, 0)
    assert can_divide(llava, shown, {"pixel_values": pixels}, 2)
    assert can_divide(llava, shown, {"mm_encoder_outputs": {"image": pixels}}, 2)
    assert not can_divide(llava, shown, {"pixel_values": pixels, "something_for_each_patch": pixels}, 2)
    assert not can_divide(llava, words, {"pixel_values": pixels}, 2), "what stands for them is another token"
    assert not can_divide(llava, shown, {"pixel_values": pixels}, 3), "and here it does so for some"


@contextmanager
def logits_of(qa: VideoQA) -> Iterator[list[tuple[int, ...]]]:
    """The shapes that the model turns into logits."""
    shapes: list[tuple[int, ...]] = []
    head = model(qa)._model.get_submodule("lm_head")
    handle = head.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape[:2])))
    try:
        yield shapes
    finally:
        handle.remove()


@pytest.mark.parametrize("settings", [Settings(), OFF], ids=["kept", "not kept"])
def test_logits_are_made_for_the_tokens_that_are_looked_at(checkpoint: Path, settings: Settings) -> None:
    qa = VideoQA(checkpoint, device="cpu", dtype="float32", settings=settings)
    qa.load()
    for question in ("What moves?", "Is it red?"):
        with logits_of(qa) as shapes:
            qa.ask(question, [video()], **ASKED)
        assert set(shapes) == {(1, 1)}
    with logits_of(qa) as shapes:
        qa.ask_many(["What moves?", "Is it red?"], [video()], **ASKED)
    assert set(shapes) == {(1, 1), (2, 1)}
    with logits_of(qa) as shapes:
        answer = qa.ask("Is it red?", [video()], num_frames=4, choices=["yes", "left or right"])
    assert shapes[0] == (1, 1)
    assert all(count <= choice.tokens for (_, count), choice in zip(shapes[1:], answer.choices, strict=True))


def test_nothing_is_left_to_the_garbage_collector(checkpoint: Path) -> None:
    """Memory is free as soon as an answer is there, whatever else the process has in hand."""
    qa = VideoQA(checkpoint, device="cpu", dtype="float32", settings=OFF)
    qa.ask("What moves?", [video()], **ASKED)
    gc.collect()
    gc.disable()
    try:
        qa.ask("Is it red?", [video()], **ASKED)
        qa.ask("Is it red?", [video()], num_frames=4, choices=["yes", "no"])
        qa.ask_many(["What moves?", "Is it red?"], [video()], **ASKED)
        left = [each for each in gc.get_objects() if issubclass(type(each), DynamicLayer)]
    finally:
        gc.enable()
    assert not left
