"""Device, dtype and attention: what is chosen, what is refused, and that it is what runs."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import pytest
import torch

from tests.checkpoints import write_checkpoint
from video_tool import VideoQA
from video_tool.errors import MissingDependencyError, ModelError
from video_tool.model_options import LoadOptions, ModelOptions
from video_tool.models import hardware
from video_tool.models.hardware import Hardware
from video_tool.models.loading import _load_weights


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


@pytest.mark.parametrize("layout", ["today", "older"])
@pytest.mark.parametrize(
    ("options", "devices"),
    [
        ({"device_map": "auto", "max_memory": {"cpu": 60_000}}, {"disk"}),
        ({"device_map": {"model": "disk", "lm_head": "cpu"}}, {"cpu", "disk"}),
    ],
    ids=["strategy", "modules"],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA, which takes what main memory may not")
def test_what_is_offloaded_to_disk_answers_the_same(
    tmp_path: Path, options: LoadOptions, devices: set[str], layout: Literal["today", "older"]
) -> None:
    folder = write_checkpoint(tmp_path, layout=layout)
    whole = VideoQA(folder, device="cpu").ask("What is it?", images=[IMAGE], max_new_tokens=8)
    spread = VideoQA(folder, **options).ask("What is it?", images=[IMAGE], max_new_tokens=8)
    assert spread.text == whole.text
    assert spread.model.device_map is not None
    assert set(spread.model.device_map.values()) == devices
    assert spread.model.device == "cpu"
    assert whole.model.device_map is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_what_a_card_may_not_take_goes_to_main_memory(checkpoint: Path) -> None:
    options: LoadOptions = {"dtype": "float32", "attention": "eager"}
    whole = VideoQA(checkpoint, device="cuda:0", **options).ask("What is it?", images=[IMAGE], max_new_tokens=8)
    spread = VideoQA(checkpoint, device_map={"model": 0, "lm_head": "cpu"}, **options)
    answer = spread.ask("What is it?", images=[IMAGE], max_new_tokens=8)
    assert answer.text == whole.text
    assert answer.model.device_map == {"model": "cuda:0", "lm_head": "cpu"}
    assert answer.model.device == "cuda:0"


def test_a_device_for_a_module_that_is_not_there_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="no module no_such_module") as caught:
        VideoQA(checkpoint, device_map={"no_such_module": "cpu", "": "cpu"}).load()
    assert "lm_head, model" in caught.value.hint


def test_attention_that_was_ours_to_choose_gives_way(checkpoint: Path) -> None:
    folder, chosen = checkpoint, Hardware("cpu", "float32", "flash_attention_2", "", attention_is_ours=True)
    weights = _load_weights("some/model", ModelOptions(), chosen, folder, trusted=False)
    assert weights.config._attn_implementation == "sdpa"
    asked = replace(chosen, attention_is_ours=False)
    with pytest.raises((ImportError, ValueError)):
        _load_weights("some/model", ModelOptions(), asked, folder, trusted=False)


@pytest.mark.slow
def test_a_compiled_model_says_the_same_and_can_be_unloaded(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    plain = VideoQA(folder, device="cpu").ask("What is it?", images=[IMAGE], max_new_tokens=8)
    qa = VideoQA(folder, device="cpu", compile=True)
    compiled = qa.ask("What is it?", images=[IMAGE], max_new_tokens=8)
    assert compiled.text == plain.text
    assert (compiled.model.compiled, plain.model.compiled) == (True, False)
    further = qa.ask("Is it red?", images=[IMAGE], max_new_tokens=8)
    assert further.prefix_cache is not None
    assert further.prefix_cache.tokens > 0
    assert further.text == VideoQA(folder, device="cpu").ask("Is it red?", images=[IMAGE], max_new_tokens=8).text
    left = weakref.ref(qa._held.model._model.lm_head.weight)
    qa.unload()
    assert left() is None


@pytest.mark.slow
def test_a_model_that_cannot_be_compiled(checkpoint: Path, tmp_path: Path) -> None:
    code = (
        "import numpy, sys; from video_tool import VideoQA\n"
        "VideoQA(sys.argv[1], device='cpu', compile=True).ask('What?', images=[numpy.zeros((9, 9, 3), 'uint8')])"
    )
    env = os.environ | {"CXX": "/no/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code, str(checkpoint)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "video_tool.errors.ModelError" in done.stderr.splitlines()[-1]
    assert "can't be compiled" in done.stderr.splitlines()[-1]
