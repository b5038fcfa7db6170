"""What a first question takes beyond the model's own work, in counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from video_tool import Settings, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.models.loading import inspect
from video_tool.models.transformers import TransformersModel

QUESTION = "What does the circle do?"


@pytest.fixture(params=["builtin", "of llava-interleave"])
def fresh(request: pytest.FixtureRequest, checkpoint: Path) -> VideoQA:
    """An engine that is loaded, and was asked nothing."""
    model = "builtin" if request.param == "builtin" else checkpoint
    qa = VideoQA(model, device="cpu", settings=Settings(prefix_cache_bytes=0))  # others may share its weights
    qa.load()
    return qa


@pytest.fixture
def calls(fresh: VideoQA, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many images the processor is given, call by call."""
    model = fresh._held.model
    assert isinstance(model, TransformersModel)
    kind: Any = type(model.preprocessor.processor)
    called, seen = kind.__call__, list[int]()

    def counted(self: Any, images: Any = None, **options: Any) -> Any:
        seen.append(sum(map(len, images or ())))
        return called(self, images=images, **options)

    monkeypatch.setattr(kind, "__call__", counted)
    return seen


def test_the_processor_makes_pixels_once(fresh: VideoQA, calls: list[int]) -> None:
    answer = fresh.ask(QUESTION, [DEMO_VIDEO], num_frames=4)
    assert len(answer.frames) == 4
    assert calls == [4]


def test_tokens_are_counted_as_they_come(fresh: VideoQA) -> None:
    """Though images of all sizes count as the one size to which they are resized."""
    model = fresh._held.model
    assert isinstance(model, TransformersModel)
    assert model.frame_size is not None
    plan = fresh.plan(QUESTION, [DEMO_VIDEO], num_frames=4)
    answer = fresh.ask(QUESTION, [DEMO_VIDEO], num_frames=4)
    assert answer.usage.visual_tokens == model.preprocessor.family.visual_tokens([(180, 320)] * 4, [])
    assert plan.prompt_tokens == (answer.usage.visual_tokens or 0) + (answer.usage.text_tokens or 0)
    assert inspect(fresh.model).family.visual_tokens([(7, 900)], []) == (answer.usage.visual_tokens or 0) // 4
