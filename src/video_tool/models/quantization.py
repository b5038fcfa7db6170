"""Weights in fewer bits, by bitsandbytes and torchao."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from video_tool.model_options import Quantization


def quantization_config(quantization: Quantization, dtype: Any) -> Any:
    """What Transformers takes to quantise while it loads; modules that it leaves alone by default stay so.

    Args:
        quantization: which one.
        dtype: what is calculated in.
    """
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if quantization == "bitsandbytes-8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if quantization == "bitsandbytes-4bit":
        # NF4 is made for weights that are normally distributed: https://arxiv.org/abs/2305.14314
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)

    torchao = import_module("torchao.quantization")
    return TorchAoConfig(torchao.Int8WeightOnlyConfig())
