"""LoRA adapters, put on a model by peft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from video_tool.errors import CheckpointError, ModelError
from video_tool.models.failures import first_line, is_out_of_memory


def check_adapter(adapter: str | Path, folder: Path) -> None:
    """Refuses what is none, before the model is loaded for it.

    Raises:
        CheckpointError: the adapter is not LoRA.
    """
    try:
        config: Any = json.loads((folder / "adapter_config.json").read_bytes())
        kind = config["peft_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{adapter}: adapter_config.json can't be read", hint="Fetch the adapter again, or use another."
        ) from error
    # with Megatron's configuration, peft would import whichever module the file names
    if kind != "LORA" or config.get("megatron_config"):
        raise CheckpointError(f"{adapter} is no plain LoRA adapter but {kind}", hint="Use a LoRA adapter.")


def put_on(model: Any, adapter: str | Path, folder: Path) -> None:
    """Adds the adapter's weights, which have to fit all.

    Raises:
        CheckpointError: they are damaged, or belong to another model.
        ModelError: a part of the model is offloaded.
    """
    # where accelerate fetches weights for each step, what an adapter adds comes out as zeros
    devices = {str(device) for device in getattr(model, "hf_device_map", {}).values()}
    if "disk" in devices or (len(devices) > 1 and "cpu" in devices):
        raise ModelError(
            f"{adapter} can't be put on a model of which parts are offloaded to main memory or disk",
            hint="Use a device that holds the whole model, or quantization, or merge the adapter into the checkpoint.",
        )
    try:
        found = model.load_adapter(str(folder), use_safetensors=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(
            f"{adapter} can't be put on the model: {first_line(error)}",
            hint="The adapter is damaged, or belongs to another model: use the one that its page names.",
        ) from error
    misfits = sorted({*found.missing_keys, *found.unexpected_keys, *(key[0] for key in found.mismatched_keys)})
    if misfits:
        raise CheckpointError(
            f"{adapter}: {len(misfits)} weights do not fit the model, such as {', '.join(misfits[:3])}",
            hint="The adapter belongs to another model: use the one that its page names.",
        )
