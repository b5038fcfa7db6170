"""From a model's name to a model that is whole, or an error that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from video_tool.builtin import CHECKPOINT
from video_tool.errors import CheckpointError, MissingDependencyError, ModelNotFoundError, OutOfMemoryError
from video_tool.models.hardware import Hardware

BUILTIN = "builtin"

_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "model.safetensors", "model-*-of-*.safetensors")
"""Of a checkpoint on the hub; many hold the same weights in other formats, too."""

_FOR_FAMILIES = ("torchvision", "num2words", "timm")
"""What some families need: video processors and some image processors, SmolVLM2's prompts, PerceptionLM's tower."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory.

    Attributes:
        model: ready to generate.
        processor: of the same checkpoint.
        revision: the hub's commit, or the package's version for the built-in model; None for a folder.
    """

    model: Any
    processor: Any
    revision: str | None


def load(model: str | Path, revision: str | None, hardware: Hardware) -> Loaded:
    """The model, whole, and its processor.

    Args:
        model: a name on the Hugging Face hub, a folder, or `builtin`.
        revision: the hub's branch, tag or commit.
        hardware: where and how it runs.

    Raises:
        ModelNotFoundError: there is no such model, or it can't be reached.
        CheckpointError: the checkpoint is incomplete, or none that answers questions about images.
        OutOfMemoryError: the device does not hold it.
        MissingDependencyError: its family needs a package that is not installed.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder, revision = _locate(model, revision)
    processor = _translated(model, lambda: AutoProcessor.from_pretrained(folder))
    options: dict[str, Any] = {
        "dtype": getattr(torch, hardware.dtype),
        "use_safetensors": True,
        "ignore_mismatched_sizes": True,  # they are found all the same, and refused below by their names
        "output_loading_info": True,
        # a device without a number leaves the spreading over several to accelerate
        "device_map": "auto" if hardware.device == "cuda" else hardware.device,
    }
    if hardware.attention != "sdpa":
        # left alone, transformers takes sdpa, and eager for a model that does not support it
        options["attn_implementation"] = hardware.attention
    weights: Any
    weights, found = _translated(model, lambda: AutoModelForImageTextToText.from_pretrained(folder, **options))
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[kind]:
            # what is mismatched comes with its shapes: (name, shape, shape)
            names = sorted(key if isinstance(key, str) else str(key[0]) for key in found[kind])
            raise CheckpointError(
                f"{model}: {len(found[kind])} {kind.replace('_keys', '')} weights, such as {', '.join(names[:3])}",
                hint="The checkpoint is incomplete or belongs to another architecture: fetch it again, or use another.",
            )
    return Loaded(weights.eval(), processor, revision)


def _locate(model: str | Path, revision: str | None) -> tuple[Path, str | None]:
    """The folder that holds the checkpoint, fetched when the model is a name on the hub; and which revision it is."""
    if model == BUILTIN:
        return CHECKPOINT, version("video-tool")
    found = None
    folder = Path(model).expanduser()
    looks_local = isinstance(model, Path) or model.startswith((".", "/", "~")) or model.count("/") > 1
    if not looks_local and not folder.exists():
        folder = _fetch(str(model), revision)
        found = folder.name  # the hub's cache has a folder for each commit
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(
            f"there is no checkpoint in {model}", hint="Check the name or path; --model builtin needs no download."
        )
    return folder, found


def _fetch(name: str, revision: str | None) -> Path:
    """The files from the hub, or from its cache when it can't be reached.

    All at once: asking for them one by one, as Transformers does, takes minutes to find a hub out of reach.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
    except Exception as error:  # whatever the hub's HTTP client has to say
        there_is_none = (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError)
        raise ModelNotFoundError(
            f"{name} can't be found or reached: {first_line(error)}",
            hint="Check the name and the network; --model builtin needs no download.",
            retryable=not isinstance(error, there_is_none),
        ) from error


def _translated(model: str | Path, step: Any) -> Any:
    """Runs a step of loading; the one place where transformers' errors become ours."""
    import torch
    from safetensors import SafetensorError

    try:
        return step()
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{model} does not fit into the device's memory",
            hint="Use a smaller model, or device='cpu'.",
            retryable=True,
        ) from error
    except (ImportError, OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        missing = [name for name in _FOR_FAMILIES if name in str(error).lower() and find_spec(name) is None]
        if missing:
            raise MissingDependencyError(missing[0], install="video-tool[families]") from error
        raise CheckpointError(
            f"{model} can't be loaded: {first_line(error)}",
            hint="The folder must hold a whole vision-language checkpoint in safetensors, with its processor.",
        ) from error


def first_line(error: Exception) -> str:
    """What an error of another package says, short enough for one of ours."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
