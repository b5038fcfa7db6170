"""A server that runs the built-in model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import ModelServer, serve_model
from video_tool import Settings, VideoQA


@pytest.fixture(scope="session")
def builtin_qa() -> VideoQA:
    return VideoQA("builtin", device="cpu", settings=Settings(num_frames=6))


@pytest.fixture
def server(builtin_qa: VideoQA) -> Iterator[ModelServer]:
    with serve_model(builtin_qa) as served:
        yield served
