"""Weights in fewer bits, by bitsandbytes and torchao."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from video_tool.errors import MissingDependencyError
from video_tool.model_options import Quantization


def quantization_config(quantization: Quantization, dtype: Any) -> Any:
    """What Transformers takes to quantise while it loads; modules that it leaves alone by default stay so.

    Args:
        quantization: which one.
        dtype: what is calculated in.

    Raises:
        MissingDependencyError: the package that does it is not installed.
    """
    package = quantization.partition("-")[0]
    if find_spec(package) is None:
        raise MissingDependencyError(package, install=f"video-tool[{package}]")

    from transformers import BitsAndBytesConfig, TorchAoConfig

    if quantization == "bitsandbytes-8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if quantization == "bitsandbytes-4bit":
        # NF4 is made for weights that are normally distributed: https://arxiv.org/abs/2305.14314
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)

    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig())
