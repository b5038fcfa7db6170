"""Out of memory: a typed error that says what would fit, and nothing left of what did not."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoints import write_checkpoint
from video_tool import VideoQA
from video_tool.errors import OutOfMemoryError
from video_tool.model_options import ModelOptions, Quantization
from video_tool.models.fitting import model_too_large, share_that_fits, weights_bytes
from video_tool.models.hardware import Hardware
from video_tool.models.transformers import TransformersModel

IMAGE = np.zeros((20, 20, 3), np.uint8)
TOO_MUCH = 1 << 50
"""Bytes that no machine has: the allocator itself refuses them."""


def weights_of(qa: VideoQA) -> Any:
    qa.load()
    assert isinstance(qa._held.model, TransformersModel)
    return qa._held.model._model


@pytest.mark.parametrize("choices", [(), ("yes", "no")])
def test_a_question_that_does_not_fit_leaves_nothing_and_the_next_one_is_answered(
    tmp_path: Path, choices: tuple[str, ...]
) -> None:
    qa = VideoQA(write_checkpoint(tmp_path / "own"), device="cpu")
    options: dict[str, Any] = {"choices": choices} if choices else {"max_new_tokens": 8}
    said = qa.ask("What?", images=[IMAGE], **options).text
    taken: list[weakref.ref[torch.Tensor]] = []

    def allocate(_module: object, given: tuple[torch.Tensor, ...]) -> None:
        activations = given[0] + 1
        taken.extend([weakref.ref(given[0]), weakref.ref(activations)])
        torch.empty(TOO_MUCH, dtype=torch.uint8)

    hook = weights_of(qa).lm_head.register_forward_pre_hook(allocate)
    with pytest.raises(OutOfMemoryError, match=r"^\d+ tokens do not fit") as caught:
        qa.ask("What?", images=[IMAGE], **options)
    hook.remove()
    # the error is still here, with its traceback and its cause
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert caught.value.__traceback__ is not None
    assert len(taken) == 4  # tried once more, without what was kept of the question before
    assert [tensor() for tensor in taken] == [None] * 4
    assert (caught.value.retryable, caught.value.fits) == (True, None)
    assert "fewer frames" in caught.value.hint
    assert qa.ask("What?", images=[IMAGE], **options).text == said

    left = weakref.ref(weights_of(qa).lm_head.weight)
    qa.unload()
    gc.collect()
    assert left() is None


def test_other_errors_of_the_model_are_not_called_so(tmp_path: Path) -> None:
    qa = VideoQA(write_checkpoint(tmp_path / "own"), device="cpu")

    def fail(_module: object, given: tuple[torch.Tensor, ...]) -> None:
        torch.zeros(2) @ torch.zeros(3)

    weights_of(qa).lm_head.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        qa.ask("What?", images=[IMAGE])


@pytest.mark.parametrize(
    ("message", "taken", "free", "fits"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …", 2 << 30, 1 << 30, 0.75),
        ("CUDA out of memory. Tried to allocate 512.00 MiB.", 1 << 29, 0, 0.5),
        ("Tried to allocate 20 bytes", 80, 1000, 0.9),
        ("Tried to allocate 1.00 KiB", 0, 0, None),
        ("out of memory", 1, 1, None),
    ],
)
def test_how_much_may_fit(message: str, taken: int, free: int, fits: float | None) -> None:
    assert share_that_fits(message, taken, free) == fits


@pytest.mark.parametrize(
    ("dtype", "quantization"), [("float32", None), ("bfloat16", None), ("float32", "bitsandbytes-4bit")]
)
def test_how_much_weights_take(checkpoint: Path, dtype: str, quantization: Quantization | None) -> None:
    if quantization:
        pytest.importorskip("bitsandbytes")
    model = TransformersModel(checkpoint, ModelOptions(device="cpu", dtype=dtype, quantization=quantization))
    taken = sum(weight.nbytes for weight in model._model.parameters())
    assert weights_bytes(checkpoint, dtype, quantization) == pytest.approx(taken, rel=0 if not quantization else 0.02)


def test_a_model_that_does_not_fit_is_told_with_its_size(checkpoint: Path) -> None:
    error = model_too_large("some/model", ModelOptions(), Hardware("cpu", "float32", "sdpa", ""), checkpoint)
    assert "some/model needs about 0.00 GiB on cpu in float32" in error.message
    assert "quantization" in error.hint
    assert error.retryable


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_a_card_the_error_says_how_much_may_fit(tmp_path: Path) -> None:
    qa = VideoQA(write_checkpoint(tmp_path / "own"), device="cuda:0")
    said = qa.ask("What?", images=[IMAGE], max_new_tokens=8).text

    def allocate(_module: object, _given: tuple[torch.Tensor, ...]) -> None:
        torch.empty(TOO_MUCH, dtype=torch.uint8, device="cuda:0")

    hook = weights_of(qa).lm_head.register_forward_pre_hook(allocate)
    with pytest.raises(OutOfMemoryError) as caught:
        qa.ask("What?", images=[IMAGE])
    hook.remove()
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    assert caught.value.fits is not None
    assert 0 < caught.value.fits < 1
    assert "may fit" in caught.value.hint
    assert qa.ask("What?", images=[IMAGE], max_new_tokens=8).text == said


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_model_that_a_card_does_not_hold(checkpoint: Path) -> None:
    torch.cuda.set_per_process_memory_fraction(1e-9)
    try:
        with pytest.raises(OutOfMemoryError, match="are free") as caught:
            VideoQA(checkpoint, device="cuda:0", attention="eager").load()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "device_map='auto'" in caught.value.hint
    VideoQA(checkpoint, device="cuda:0", attention="eager").load()
