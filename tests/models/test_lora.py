"""LoRA adapters: the answers are those of peft, and what is no fitting adapter is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from video_tool.errors import CheckpointError, ModelError, ModelNotFoundError
from video_tool.model_options import LoadOptions, ModelOptions
from video_tool.models.transformers import TransformersModel
from video_tool.progress import ignore_progress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions

# importing it takes seconds, which those who collect this file need not wait for
pytestmark = [
    pytest.mark.skipif(find_spec("peft") is None, reason="needs peft"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning"),  # what peft imports uses it
]

NEW = GenerationOptions(max_new_tokens=16)
MESSAGES = (Message("user", (Image.new("RGB", (44, 44), "red"), "What moves?")),)
PARTS = ["q_proj", "v_proj", "up_proj"]


def base(checkpoint: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)


@pytest.fixture(scope="module")
def adapter(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import peft

    folder = tmp_path_factory.mktemp("adapter")
    config = peft.LoraConfig(r=4, lora_alpha=64, target_modules=PARTS, init_lora_weights=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        peft.get_peft_model(base(checkpoint), config).save_pretrained(folder)
    return folder


def load(checkpoint: Path, adapter: Path | str | None) -> TransformersModel:
    return TransformersModel(checkpoint, ModelOptions(device="cpu", adapter=adapter))


def test_answers_are_those_of_peft(checkpoint: Path, adapter: Path) -> None:
    import peft

    ours = load(checkpoint, adapter)
    theirs = peft.PeftModel.from_pretrained(base(checkpoint), adapter).eval()
    inputs = ours.preprocessor.encode(ours.preprocessor.prompt(MESSAGES))
    with torch.inference_mode():
        out = theirs.generate(**inputs, max_new_tokens=NEW.max_new_tokens, do_sample=False)
    said = ours.generate(MESSAGES, NEW, ignore_progress).said
    assert list(said.tokens) == out[0, inputs["input_ids"].shape[1] :].tolist()
    assert (ours.info.adapter, ours.info.adapter_revision) == (str(adapter), None)

    without = load(checkpoint, None)
    assert without.generate(MESSAGES, NEW, ignore_progress).said.tokens != said.tokens
    assert without.info.adapter is None


def test_an_adapter_goes_with_quantisation(checkpoint: Path, adapter: Path) -> None:
    pytest.importorskip("bitsandbytes")
    options: LoadOptions = {"device": "cpu", "quantization": "bitsandbytes-4bit"}
    both = TransformersModel(checkpoint, ModelOptions(**options, adapter=adapter))
    one = TransformersModel(checkpoint, ModelOptions(**options))
    assert (
        both.generate(MESSAGES, NEW, ignore_progress).said.tokens
        != one.generate(MESSAGES, NEW, ignore_progress).said.tokens
    )


def _rename(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({name.replace("layers.1", "layers.7"): weight for name, weight in load_file(path).items()}, path)


def _reshape(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({name: weight[..., :-1].contiguous() for name, weight in load_file(path).items()}, path)


def _configure(**entries: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return edit


@pytest.mark.parametrize(
    ("edit", "kind", "says"),
    [
        (_rename, CheckpointError, "weights do not fit the model"),
        (_reshape, CheckpointError, ""),
        (_configure(peft_type="IA3"), CheckpointError, "no plain LoRA adapter but IA3"),
        (_configure(megatron_config={"a": 1}, megatron_core="antigravity"), CheckpointError, "no plain LoRA"),
        (_configure(target_modules=["no_such_module"]), CheckpointError, "no_such_module"),
        (lambda folder: (folder / "adapter_config.json").write_text("[]"), CheckpointError, "can't be read"),
        (lambda folder: (folder / "adapter_config.json").unlink(), ModelNotFoundError, "no adapter_config.json"),
        (
            lambda folder: (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin"),
            ModelNotFoundError,
            "no adapter_model.safetensors",
        ),
    ],
    ids=["other names", "other shapes", "not LoRA", "Megatron", "other modules", "no JSON", "no config", "pickled"],
)
def test_what_is_no_fitting_adapter_is_refused(
    checkpoint: Path,
    adapter: Path,
    tmp_path: Path,
    edit: Callable[[Path], object],
    kind: type[ModelError],
    says: str,
) -> None:
    folder = shutil.copytree(adapter, tmp_path / "edited")
    edit(folder)
    with pytest.raises(kind) as caught:
        load(checkpoint, folder)
    assert says in caught.value.message
    assert caught.value.hint


def test_an_adapter_is_not_put_on_what_is_offloaded(checkpoint: Path, adapter: Path) -> None:
    options = ModelOptions(device_map={"model": "cpu", "lm_head": "disk"}, adapter=adapter)
    with pytest.raises(ModelError, match="offloaded"):
        TransformersModel(checkpoint, options)


def test_an_adapter_alone_is_no_model(adapter: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        load(adapter, None)
    assert "give this as adapter" in caught.value.hint


def test_an_adapter_beside_the_model_is_not_taken_silently(checkpoint: Path, adapter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "both")
    shutil.copytree(adapter, folder, dirs_exist_ok=True)
    with pytest.raises(CheckpointError, match="an adapter besides the model"):
        load(folder, None)
