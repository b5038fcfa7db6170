"""From a model's name to a model that is whole, or an error that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from video_tool.builtin import CHECKPOINT
from video_tool.errors import CheckpointError, ModelNotFoundError, OutOfMemoryError
from video_tool.models.hardware import Hardware

BUILTIN = "builtin"


def load(model: str | Path, revision: str | None, hardware: Hardware) -> tuple[Any, Any]:
    """The model, ready to generate, and its processor.

    Args:
        model: a name on the Hugging Face hub, a folder, or `builtin`.
        revision: the hub's branch, tag or commit.
        hardware: where and how it runs.

    Raises:
        ModelNotFoundError: there is no such model, or it can't be reached.
        CheckpointError: the checkpoint is incomplete, or none that answers questions about images.
        OutOfMemoryError: the device does not hold it.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    where = _locate(model)
    processor = _translated(model, lambda: AutoProcessor.from_pretrained(where, revision=revision))
    options: dict[str, Any] = {
        "revision": revision,
        "dtype": getattr(torch, hardware.dtype),
        "use_safetensors": True,
        "output_loading_info": True,
        # a device without a number leaves the spreading over several to accelerate
        "device_map": "auto" if hardware.device == "cuda" else hardware.device,
    }
    if hardware.attention != "sdpa":
        # left alone, transformers takes sdpa, and eager for a model that does not support it
        options["attn_implementation"] = hardware.attention
    weights: Any
    weights, found = _translated(model, lambda: AutoModelForImageTextToText.from_pretrained(where, **options))
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[kind]:
            some = ", ".join(sorted(str(key) for key in found[kind])[:3])
            raise CheckpointError(
                f"{model}: {len(found[kind])} {kind.replace('_keys', '')} weights, such as {some}",
                hint="The checkpoint is incomplete or belongs to another architecture: fetch it again, or use another.",
            )
    return weights.eval(), processor


def _locate(model: str | Path) -> str:
    if model == BUILTIN:
        return str(CHECKPOINT)
    path = Path(model).expanduser()
    if path.is_dir():
        return str(path)
    looks_local = isinstance(model, Path) or str(model).startswith((".", "/", "~")) or str(model).count("/") > 1
    if looks_local or path.exists():
        raise ModelNotFoundError(
            f"there is no checkpoint folder {model}", hint="Check the path; --model builtin needs no download."
        )
    return str(model)


def _translated(model: str | Path, step: Any) -> Any:
    """Runs a step of loading; the one place where transformers' errors become ours."""
    import torch

    try:
        return step()
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{model} does not fit into the device's memory", hint="Use a smaller model, or device='cpu'.", retryable=True
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        if Path(_locate(model)).is_dir() and not _lacks_files(error):
            raise CheckpointError(
                f"{model} can't be loaded: {_first_line(error)}",
                hint="The folder must hold a whole vision-language checkpoint in safetensors, with its processor.",
            ) from error
        raise ModelNotFoundError(
            f"{model} can't be found or reached: {_first_line(error)}",
            hint="Check the name and the network; --model builtin needs no download.",
            retryable=not Path(_locate(model)).is_dir(),
        ) from error


def _lacks_files(error: Exception) -> bool:
    return isinstance(error, OSError) and "config.json" in str(error)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
