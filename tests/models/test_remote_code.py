"""A checkpoint's own code runs when its name is given once more, and never else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import write_checkpoint
from tests.programs import unmeasured
from video_tool import VideoQA
from video_tool.errors import CheckpointError, UntrustedCodeError

CODE = """
from pathlib import Path
from transformers import LlavaConfig, LlavaForConditionalGeneration
(Path(__file__).parent / "it-ran").touch()
class Config(LlavaConfig):
    model_type = "own-llava"
class Model(LlavaForConditionalGeneration):
    config_class = Config
"""
AUTO_MAP = {"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.Model"}

ASK = """
import sys, numpy
from pathlib import Path
from video_tool import VideoQA
from video_tool.errors import UntrustedCodeError
model, modules = sys.argv[1:]
def ask(trusted):
    try:
        qa = VideoQA(model, device="cpu", trust_remote_code=trusted)
        answer = qa.ask("What?", images=[numpy.zeros((9, 9, 3), "uint8")], max_new_tokens=8)
        print(ascii(answer.text), answer.model.remote_code, sep="|", end="|")
    except UntrustedCodeError as error:
        print(type(error).__name__, None, sep="|", end="|")
    print(any(path for folder in (model, modules) for path in Path(folder).rglob("it-ran")))
ask(None)
ask(model)
ask(None)
"""


def with_code(folder: Path, **config: object) -> Path:
    write_checkpoint(folder, config={"model_type": "own-llava", "auto_map": AUTO_MAP} | config)
    (folder / "own.py").write_text(CODE)
    return folder


def ran(*folders: Path) -> bool:
    return any(any(folder.rglob("it-ran")) for folder in folders)


def test_code_that_nobody_asked_for_does_not_run(tmp_path: Path) -> None:
    folder = with_code(tmp_path / "own")
    with pytest.raises(UntrustedCodeError, match="code of its own, which has not been run") as caught:
        VideoQA(folder, device="cpu").load()
    assert f"trust_remote_code='{folder}'" in caught.value.hint
    assert isinstance(caught.value, PermissionError)
    assert not ran(tmp_path)


def test_code_that_is_asked_for_by_name_runs(tmp_path: Path, qa: VideoQA) -> None:
    folder, modules = with_code(tmp_path / "own"), tmp_path / "modules"
    env = unmeasured() | {"HF_MODULES_CACHE": str(modules), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", ASK, str(folder), str(modules)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    before, asked_for, after = (line.rsplit("|", 2) for line in done.stdout.splitlines())
    assert before == ["UntrustedCodeError", "None", "False"]
    plain = qa.ask("What?", images=[np.zeros((9, 9, 3), np.uint8)], max_new_tokens=8)
    assert plain.model.remote_code is False
    assert asked_for == [ascii(plain.text), "True", "True"]
    assert after[0] == "UntrustedCodeError"


def test_a_checkpoint_that_can_do_without_its_code_does(tmp_path: Path) -> None:
    folder = with_code(tmp_path / "known", model_type="llava")
    VideoQA(folder, device="cpu").load()
    assert not ran(tmp_path)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModelForImageTextToText": "someone/else--own.Model"}},
        {"model_type": "llava", "attn_implementation": "someone/kernel"},
        {"model_type": "llava", "text_config": {"model_type": "qwen2", "_attn_implementation": "someone/kernel@main"}},
    ],
    ids=["other repository", "kernel", "kernel of a part"],
)
def test_code_of_others_is_refused_even_then(tmp_path: Path, config: dict[str, object], trusted: bool) -> None:
    folder = with_code(tmp_path / "own", **config)
    with pytest.raises(UntrustedCodeError, match="another repository") as caught:
        VideoQA(folder, device="cpu", trust_remote_code=str(folder) if trusted else None).load()
    assert "someone" in caught.value.message
    assert not ran(tmp_path)


def test_a_processor_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "processor")
    (folder / "own.py").write_text(CODE)
    path = folder / "processor_config.json"
    config = json.loads(path.read_text()) | {"processor_class": "Own", "auto_map": {"AutoProcessor": "own.Own"}}
    path.write_text(json.dumps(config))
    with pytest.raises(UntrustedCodeError):
        VideoQA(folder, device="cpu").load()
    assert not ran(tmp_path)


@pytest.mark.parametrize("names", [["pytorch_model.bin"], ["model.pt", "pytorch_model.bin.index.json"]])
def test_pickled_weights_are_refused(tmp_path: Path, names: list[str]) -> None:
    folder = write_checkpoint(tmp_path / "pickled")
    weights = folder / "model.safetensors"
    for name in names:
        (folder / name).write_bytes(weights.read_bytes())
    weights.unlink()
    with pytest.raises(CheckpointError, match="no weights in safetensors, the only format") as caught:
        VideoQA(folder, device="cpu").load()
    assert "can run code" in caught.value.hint
