"""What a model may be loaded with is checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from video_tool import Settings, VideoQA
from video_tool.errors import ModelError
from video_tool.model_options import LoadOptions, ModelOptions


def test_arguments_and_fields_are_the_same() -> None:
    assert list(LoadOptions.__annotations__) == list(ModelOptions.model_fields)
    for name, field in ModelOptions.model_fields.items():
        assert name in str(VideoQA.__doc__)
        assert field.description


def test_what_is_given_is_kept() -> None:
    qa = VideoQA("some/model", revision="main", device_map={"": "cpu"}, max_memory={"cpu": "1GiB", 0: 5}, compile=True)
    assert qa.options == ModelOptions(
        revision="main", device_map={"": "cpu"}, max_memory={"cpu": "1GiB", 0: 5}, compile=True
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"revision": 5}, "revision is 5"),
        ({"device": None}, "device is None"),
        ({"offline": "yes"}, "offline is 'yes'"),
        ({"quantization": "bitsandbytes-2bit"}, "quantization is 'bitsandbytes-2bit'"),
        ({"device_map": "cuda:0"}, "device_map is 'cuda:0'"),
        ({"device_map": "auto", "device": "cpu"}, "device and device_map"),
        ({"max_memory": {"cpu": 1}}, "max_memory is given without device_map"),
        ({"adapter_revision": "main"}, "adapter_revision is given without adapter"),
        ({"attention": "some-org/kernel"}, "kernels are not fetched"),
        ({"trust_remote_code": True}, "trust_remote_code is True"),
        ({"trust_remote_code": "other/model"}, "names other/model, and the model is some/model"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=r"^[^\n]*$") as caught:
        VideoQA("some/model", **options)
    assert says in caught.value.message
    assert caught.value.hint


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="no option 'quantisation': there are adapter, "):
        VideoQA("some/model", quantisation="torchao-int8")  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("model", "named"),
    [("some/model", "some/model"), ("./folder", "folder/"), (Path("folder"), "folder"), (None, "by/settings")],
)
def test_code_is_trusted_by_the_models_own_name(model: str | Path | None, named: str) -> None:
    qa = VideoQA(model, trust_remote_code=named, settings=Settings(model="by/settings"))
    assert qa.options.trust_remote_code == named


def test_trust_does_not_go_over_to_another_default() -> None:
    with pytest.raises(ModelError, match="the model is now/another"):
        VideoQA(trust_remote_code="by/settings", settings=Settings(model="now/another"))
