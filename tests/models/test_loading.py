"""A checkpoint is loaded whole, or refused with a typed error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.checkpoints import Weights, write_checkpoint, write_text_checkpoint
from video_tool.errors import CheckpointError, MissingDependencyError, ModelError, ModelNotFoundError
from video_tool.model_options import ModelOptions
from video_tool.models.transformers import TransformersModel


def load(model: str | Path) -> TransformersModel:
    return TransformersModel(model, ModelOptions(device="cpu"))


def refused(model: str | Path, kind: type[ModelError]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(model)
    assert type(caught.value) is kind
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("layout", ["today", "older"])
@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda weights: weights.pop("lm_head.weight"), ("1 missing", "lm_head.weight")),
        (lambda weights: weights.pop("model.vision_tower.post_layernorm.bias"), ("1 missing", "post_layernorm.bias")),
        (lambda weights: weights.update(left_over=torch.zeros(2)), ("1 unexpected", "left_over")),
        (
            lambda weights: weights.update({"model.multi_modal_projector.linear_1.bias": torch.zeros(5)}),
            ("1 mismatched", "linear_1.bias"),
        ),
    ],
    ids=["head missing", "vision weight missing", "unexpected", "mismatched"],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, layout: str, edit: Callable[[Weights], object], says: tuple[str, ...]
) -> None:
    error = refused(write_checkpoint(tmp_path, layout=layout, edit=edit), CheckpointError)
    assert all(part in error.message for part in says), error.message


def test_a_file_cut_short_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "cut" in refused(folder, CheckpointError).message


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "processor_config.json"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path, checkpoint: Path, name: str) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "part")
    (folder / name).unlink()
    refused(folder, CheckpointError)


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_family_that_needs_a_package_says_which(tmp_path: Path, checkpoint: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "videos")
    path = folder / "processor_config.json"
    videos = {"video_processor": {"video_processor_type": "LlavaOnevisionVideoProcessor"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | videos | {"processor_class": "LlavaOnevisionProcessor"}))
    with pytest.raises(MissingDependencyError, match="torchvision") as caught:
        load(folder)
    assert "video-tool[families]" in caught.value.hint


def test_a_broken_configuration_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "broken")
    (folder / "config.json").write_text('{"model_type": "llava"')
    refused(folder, CheckpointError)


def test_an_architecture_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, config={"model_type": "from-another-star", "architectures": ["None"]})
    assert "from-another-star" in refused(folder, CheckpointError).message


def test_a_model_that_knows_text_alone_is_refused(tmp_path: Path) -> None:
    assert "vision-language" in refused(write_text_checkpoint(tmp_path), CheckpointError).hint


def test_a_folder_without_a_checkpoint_holds_no_model(tmp_path: Path) -> None:
    assert "builtin" in refused(tmp_path, ModelNotFoundError).hint


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", "one/two/three"])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(name: str) -> None:
    error = refused(name, ModelNotFoundError)
    assert name in error.message
    assert "--model builtin" in error.hint
    assert not error.retryable


def test_a_name_that_the_hub_does_not_allow(tmp_path: Path) -> None:
    error = refused("no name: has blanks", ModelNotFoundError)
    assert "--model builtin" in error.hint
