"""Families of other packages come first; one that can't be loaded is named and left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import processor, tokenizer, write_checkpoint
from tests.models.families.plugin import install
from video_tool import FrameSequence, VideoQA
from video_tool.errors import CheckpointError, PromptError
from video_tool.models.families import Family, family_of
from video_tool.models.families.finding import every_family


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in the path, in which packages can be installed."""
    monkeypatch.syspath_prepend(tmp_path)
    every_family.cache_clear()
    yield tmp_path
    every_family.cache_clear()


def test_a_family_of_another_package_is_asked_first(path: Path) -> None:
    install(path, marked="other_families:Marked")
    assert type(family_of(processor("<|marked|>"), None)).__name__ == "Marked"
    assert type(family_of(processor(), None)) is Family


def test_the_engine_goes_by_it(path: Path) -> None:
    install(path, marked="other_families:Marked")
    qa = VideoQA(write_checkpoint(path / "checkpoint", image_token="<|marked|>"), device="cpu")
    pixels = np.zeros((10, 24, 32, 3), np.uint8)
    qa.ask("What moves?", [FrameSequence(pixels, fps=10)], num_frames=2, max_new_tokens=1)
    with pytest.raises(PromptError, match="up to 2") as caught:
        qa.ask("What moves?", [FrameSequence(pixels, fps=10)], num_frames=3, max_new_tokens=1)
    assert "num_frames to 2" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("other_families:Missing", "AttributeError"),
        ("nowhere:Marked", "ModuleNotFoundError"),
        ("other_families:install", "no subclass of Family"),
    ],
)
def test_a_broken_one_is_named_and_left_out(path: Path, value: str, told: str) -> None:
    install(path, broken=value, marked="other_families:Marked")
    with pytest.warns(RuntimeWarning, match=f"broken of other-families is left out: .*{told}"):
        found = every_family()
    assert found[0].__name__ == "Marked"
    assert found[-1] is Family


def test_a_processor_that_takes_neither_images_nor_videos() -> None:
    words: Any = tokenizer()
    with pytest.raises(CheckpointError, match="takes neither images nor videos"):
        family_of(words, None)
