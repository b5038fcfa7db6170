"""Where and how a model runs: device, number format, attention."""

from __future__ import annotations

from dataclasses import dataclass

from video_tool.errors import MissingDependencyError, ModelError
from video_tool.model_options import ModelOptions

_FLASH_CAPABILITY = (8, 0)
"""FlashAttention 2 runs on Ampere and later."""


@dataclass(frozen=True)
class Hardware:
    """A choice of device (`cpu`, `cuda`, `cuda:1`, `mps`), dtype and attention, and why it fell so.

    `attention_is_ours` says that a model which does not support the attention may run another.
    """

    device: str
    dtype: str
    attention: str
    reason: str
    attention_is_ours: bool = False


def choose_hardware(options: ModelOptions) -> Hardware:
    """Fills in what is left to us.

    CUDA before Apple's MPS before the CPU; bfloat16 on CUDA, or float16 where the card has no bfloat16;
    float16 on MPS; float32 on the CPU; float16 where LLM.int8 would turn everything into it for each layer.
    FlashAttention 2 where it is installed and the card and dtype take it, else PyTorch's own (`sdpa`); a model
    without support for it runs `eager`.

    Raises:
        ModelError: the device is not there, or the dtype is unknown.
        MissingDependencyError: flash_attention_2 is asked for and not installed.
    """
    import torch
    from transformers.utils.import_utils import is_flash_attn_2_available

    device, dtype, attention = options.device, options.dtype, options.attention
    reasons: list[str] = []
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        reasons.append({"cuda": "a CUDA device is there", "mps": "Apple's MPS is there"}.get(device, "no GPU is there"))
    kind = _kind_of(device)
    if dtype == "auto" and options.quantization == "bitsandbytes-8bit":
        dtype = "float16"
        reasons.append("LLM.int8 calculates in float16")
    elif dtype == "auto":
        if kind == "cuda":
            dtype = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
        else:
            dtype = "float16" if kind == "mps" else "float32"
        reasons.append(f"{dtype} suits {kind}")
    if dtype not in ("float32", "float16", "bfloat16"):
        raise ModelError(f"{dtype} is no dtype to run in", hint="Use float32, float16 or bfloat16.")
    ours = attention == "auto"
    if ours:
        fit = kind == "cuda" and dtype != "float32" and _capability(device) >= _FLASH_CAPABILITY
        flash = fit and is_flash_attn_2_available()
        attention = "flash_attention_2" if flash else "sdpa"
        reasons.append("FlashAttention 2 is installed and fit" if flash else "PyTorch's attention needs nothing more")
    elif attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise MissingDependencyError("flash-attn", install="video-tool[flash-attn]")
    return Hardware(device, dtype, attention, "; ".join(reasons) or "as asked for", ours)


def _capability(device: str) -> tuple[int, int]:
    """Of the card, or of the least of all that the model may be spread over."""
    import torch

    _, _, number = device.partition(":")
    cards = [int(number)] if number else range(torch.cuda.device_count())
    return min(torch.cuda.get_device_capability(card) for card in cards)


def _kind_of(device: str) -> str:
    """`cuda` of `cuda:1`, if it is there."""
    import torch

    refusal = ModelError(
        f"there is no device {device} here", hint="Use cpu, or run `video-tool doctor` to see devices."
    )
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise refusal from error
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (wanted.index or 0) >= counts.get(wanted.type, 0):
        raise refusal
    return wanted.type
