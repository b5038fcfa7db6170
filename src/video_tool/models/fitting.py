"""What would fit, where something did not."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from video_tool.errors import OutOfMemoryError
from video_tool.model_options import ModelOptions, Quantization
from video_tool.models.hardware import Hardware

_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
_QUANTIZED_BYTES: dict[str, float] = {"bitsandbytes-8bit": 1.0, "torchao-int8": 1.0, "bitsandbytes-4bit": 0.5625}
"""Of one weight; NF4 has a scale of 4 bytes for each 64 weights, and the others one for each row."""
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def weights_bytes(folder: Path, dtype: str, quantization: Quantization | None = None) -> int:
    """About how many bytes the weights in a folder's safetensors take in memory.

    Quantisation takes matrices, short of embeddings and the head; the rest keeps the dtype.
    """
    total = 0.0
    for name, shape in _tensors(folder):
        small = quantization is not None and len(shape) == 2 and not re.search(r"embed|lm_head", name)
        total += math.prod(shape) * (_QUANTIZED_BYTES[quantization] if quantization and small else _BYTES[dtype])
    return int(total)


def _tensors(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes, from the files' headers: https://huggingface.co/docs/safetensors#format."""
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(length))
        yield from ((name, entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def model_too_large(model: str | Path, options: ModelOptions, hardware: Hardware, folder: Path) -> OutOfMemoryError:
    """The error for a model that does not fit, with what would as far as that is known."""
    needed = weights_bytes(folder, hardware.dtype, options.quantization)
    free = _free_bytes(hardware.device)
    there = "" if free is None else f", and {_gib(free)} are free"
    smaller = {name: weights_bytes(folder, hardware.dtype, name) for name in get_args(Quantization)}
    fitting = [name for name, size in smaller.items() if free is not None and size < free and size < needed]
    ways = [f"quantization='{fitting[0]}' takes about {_gib(smaller[fitting[0]])}"] if fitting else []
    if options.device_map is None and hardware.device.startswith("cuda"):
        ways.append("device_map='auto' uses several cards and main memory")
    return OutOfMemoryError(
        f"{model} needs about {_gib(needed)} on {hardware.device} in {options.quantization or hardware.dtype}{there}",
        hint="; ".join([*ways, "or use a smaller model"] if ways else ["Use a smaller model, or quantization"]) + ".",
        retryable=True,
    )


def question_too_large(tokens: int, error: BaseException, device: Any, before: int) -> OutOfMemoryError:
    """The error for a question that does not fit, raised while what it had taken is still in memory.

    Args:
        tokens: of its prompt.
        error: what torch raised.
        device: that the model's inputs are on.
        before: bytes that torch had taken there before the question.
    """
    fits = _share_that_fits(error, device, before)
    return OutOfMemoryError(
        f"{tokens} tokens do not fit into the device's memory",
        hint="Ask with fewer frames or videos."
        if fits is None
        else f"Ask with fewer frames or videos: about {fits:.0%} of them may fit.",
        retryable=True,
        fits=fits,
    )


def _share_that_fits(error: BaseException, device: Any, before: int) -> float | None:
    import torch

    if device.type != "cuda":
        return None
    taken = torch.cuda.memory_allocated(device) - before
    reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return share_that_fits(str(error), taken, torch.cuda.mem_get_info(device)[0] + reserved)


def share_that_fits(message: str, taken: int, free: int) -> float | None:
    """How much of a question may fit, of which `taken` bytes are there already and more were refused.

    What memory it takes grows with its tokens. It failed on the way, so the whole needs more than is known of,
    and this is the most that may fit.

    Args:
        message: torch's, which says how many bytes were refused.
        taken: bytes that the question has.
        free: bytes that it could still have had.

    Returns:
        More than 0 and at most 0.9; None when the message does not say it.
    """
    refused = re.search(r"Tried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", message)
    if refused is None:
        return None
    needed = taken + float(refused[1]) * _UNITS[refused[2]]
    return min(0.9, (taken + free) / needed) if taken + free > 0 else None


def _free_bytes(device: str) -> int | None:
    import torch

    return int(torch.cuda.mem_get_info(device)[0]) if device.startswith("cuda") else None


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.2f} GiB"
