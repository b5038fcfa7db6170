"""Device, dtype and attention: what is chosen, what is refused, and that it is what runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Unpack

import numpy as np
import pytest
import torch

from video_tool import VideoQA
from video_tool.errors import MissingDependencyError, ModelError
from video_tool.model_options import LoadOptions, ModelOptions
from video_tool.models import hardware
from video_tool.models.hardware import Hardware


def choose_hardware(device: str = "auto", **options: Unpack[LoadOptions]) -> Hardware:
    return hardware.choose_hardware(ModelOptions(device=device, **options))


IMAGE = np.zeros((20, 20, 3), np.uint8)


def test_the_cpu_runs_in_float32_with_pytorchs_attention() -> None:
    hardware = choose_hardware("cpu")
    assert (hardware.device, hardware.dtype, hardware.attention) == ("cpu", "float32", "sdpa")
    assert "float32 suits cpu" in hardware.reason


def test_what_is_asked_for_is_taken() -> None:
    assert choose_hardware("cpu", dtype="bfloat16", attention="eager") == Hardware(
        "cpu", "bfloat16", "eager", "as asked for"
    )


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU, so it is chosen"
)
def test_without_a_gpu_the_cpu_is_chosen() -> None:
    hardware = choose_hardware()
    assert hardware.device == "cpu"
    assert "no GPU is there" in hardware.reason


@pytest.mark.parametrize("device", ["tpu", "", "cpu0", "cpu:x", "quantum:1"])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(ModelError, match="no device") as caught:
        choose_hardware(device)
    assert "cpu" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ModelError, match=f"no device {device} here"):
        choose_hardware(device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_card_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match="no device cuda:99 here"):
        choose_hardware("cuda:99")


@pytest.mark.parametrize("dtype", ["int8", "float64", "bf16", "", "torch.float16"])
def test_unknown_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(ModelError, match="no dtype") as caught:
        choose_hardware("cpu", dtype=dtype)
    assert "bfloat16" in caught.value.hint


@pytest.mark.skipif(find_spec("flash_attn") is not None, reason="flash-attn is installed")
def test_flash_attention_that_is_not_installed() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        choose_hardware("cpu", attention="flash_attention_2")
    assert "pip install 'video-tool[flash-attn]'" in caught.value.hint


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_answer_says_what_ran(checkpoint: Path, dtype: str, attention: str) -> None:
    qa = VideoQA(checkpoint, device="cpu", dtype=dtype, attention=attention)
    model = qa.ask("What is it?", images=[IMAGE], max_new_tokens=1).model
    assert (model.device, model.dtype, model.attention) == ("cpu", dtype, attention)


def test_an_attention_that_nobody_knows_is_refused(checkpoint: Path) -> None:
    qa = VideoQA(checkpoint, device="cpu", attention="telepathy")
    with pytest.raises(ModelError, match="telepathy"):
        qa.ask("What is it?", images=[IMAGE])
