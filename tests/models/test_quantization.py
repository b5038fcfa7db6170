"""Weights in fewer bits: the answers are those of Transformers with the same quantisation."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, TorchAoConfig

from video_tool import VideoQA
from video_tool.errors import MissingDependencyError
from video_tool.model_options import ModelOptions, Quantization
from video_tool.models.transformers import TransformersModel
from video_tool.progress import ignore_progress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions

NEW = 16
MESSAGES = (Message("user", (Image.new("RGB", (44, 44), "red"), "What moves?")),)


def plain(kind: Quantization) -> tuple[Any, torch.dtype]:
    if kind == "bitsandbytes-8bit":
        return BitsAndBytesConfig(load_in_8bit=True), torch.float16
    if kind == "bitsandbytes-4bit":
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
        return config, torch.float32
    return TorchAoConfig(import_module("torchao.quantization").Int8WeightOnlyConfig()), torch.float32


@pytest.mark.parametrize("kind", ["bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8"])
def test_answers_are_those_of_transformers(checkpoint: Path, kind: Quantization) -> None:
    pytest.importorskip(kind.partition("-")[0])
    ours = TransformersModel(checkpoint, ModelOptions(device="cpu", quantization=kind))
    config, dtype = plain(kind)
    theirs = AutoModelForImageTextToText.from_pretrained(checkpoint, quantization_config=config, dtype=dtype)
    inputs = ours.preprocessor.encode(ours.preprocessor.prompt(MESSAGES))
    with torch.inference_mode():
        out = theirs.eval().generate(**inputs, max_new_tokens=NEW, do_sample=False)
    said = ours.generate(MESSAGES, GenerationOptions(max_new_tokens=NEW), ignore_progress).said
    assert list(said.tokens) == out[0, inputs["input_ids"].shape[1] :].tolist()
    assert ours.info.quantization == kind
    assert ours.info.dtype == str(dtype).removeprefix("torch.")


def test_four_bits_take_less_memory_and_say_other_things(checkpoint: Path) -> None:
    pytest.importorskip("bitsandbytes")
    whole, small = (
        TransformersModel(checkpoint, ModelOptions(device="cpu", quantization=kind))
        for kind in (None, "bitsandbytes-4bit")
    )
    footprints = [model._model.get_memory_footprint() for model in (whole, small)]
    assert footprints[1] < 0.7 * footprints[0]
    options = GenerationOptions(max_new_tokens=NEW)
    assert (
        whole.generate(MESSAGES, options, ignore_progress).said.tokens
        != small.generate(MESSAGES, options, ignore_progress).said.tokens
    )


@pytest.mark.parametrize(("kind", "package"), [("bitsandbytes-4bit", "bitsandbytes"), ("torchao-int8", "torchao")])
def test_a_package_that_is_not_installed(kind: Quantization, package: str) -> None:
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(MissingDependencyError) as caught:
        # before anything is fetched: there is no such model
        VideoQA("nobody/no-such-model", device="cpu", quantization=kind).load()
    assert f"pip install 'video-tool[{package}]'" in caught.value.hint
