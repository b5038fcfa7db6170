"""Families of other packages come first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import processor, tokenizer, write_checkpoint
from video_tool import FrameSequence, Settings, VideoQA
from video_tool.errors import CheckpointError, PluginWarning, PromptError
from video_tool.models.families import Family, family_of
from video_tool.models.loading import inspect


@pytest.mark.usefixtures("plugged")
def test_a_family_of_another_package_is_asked_first() -> None:
    assert type(family_of(processor("<|marked|>"), None)).__name__ == "Marked"
    assert type(family_of(processor(), None)) is Family
    assert type(family_of(processor("<|marked|>"), None, ())) is Family


@pytest.mark.usefixtures("plugged")
def test_the_engine_goes_by_it_as_its_settings_say(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint", image_token="<|marked|>")
    frames = [FrameSequence(np.zeros((10, 24, 32, 3), np.uint8), fps=10)]
    qa = VideoQA(checkpoint, device="cpu")
    qa.ask("What moves?", frames, num_frames=2, max_new_tokens=1)
    with pytest.raises(PromptError, match="up to 2") as caught:
        qa.ask("What moves?", frames, num_frames=3, max_new_tokens=1)
    assert "num_frames to 2" in caught.value.hint
    without = VideoQA(checkpoint, settings=Settings(plugins=()), device="cpu")
    assert len(without.ask("What moves?", frames, num_frames=3, max_new_tokens=1).frames) == 3
    assert type(inspect(checkpoint).family).__name__ == "Marked"
    assert type(inspect(checkpoint, ()).family) is Family


@pytest.mark.usefixtures("plugged")
def test_one_that_fails_at_a_checkpoint_is_named_and_left_out(
    broken_plugin_site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(broken_plugin_site)
    with pytest.warns(PluginWarning) as told:
        found = family_of(processor(), None)
    assert type(found) is Family
    assert [str(each.message).partition(" of ")[0] for each in told] == [
        "video_tool.families: no-family",
        "video_tool.families: undecided",
    ]


def test_a_processor_that_takes_neither_images_nor_videos() -> None:
    words: Any = tokenizer()
    with pytest.raises(CheckpointError, match="takes neither images nor videos"):
        family_of(words, None)
