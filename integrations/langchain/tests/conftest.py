"""Clips, and tools that may read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from langchain_video_tool import VideoQATool, VideoToolkit

from video_tool.builtin.clips import random_clip, render, write_video


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `circle.mp4` and `square.mp4`."""
    folder = tmp_path_factory.mktemp("clips")
    for shape, colour, motion in (("circle", "red", "left"), ("square", "blue", "growing")):
        rng = np.random.default_rng(4)
        drawn = random_clip(rng, width=128, height=96, shape=shape, colour=colour, motions=(motion,))
        write_video(folder / f"{shape}.mp4", render(drawn, np.arange(30) / 30), fps=15)
    return folder


@pytest.fixture(scope="session")
def circle(clips: Path) -> str:
    return str(clips / "circle.mp4")


@pytest.fixture(scope="session")
def square(clips: Path) -> str:
    return str(clips / "square.mp4")


@pytest.fixture(scope="session")
def kit(clips: Path) -> VideoToolkit:
    """All tools, asking the built-in model; one for all tests, which then load it once."""
    return VideoToolkit(model="builtin", allowed_roots=(clips,))


@pytest.fixture
def tool(kit: VideoToolkit) -> VideoQATool:
    return VideoQATool(toolbox=kit.toolbox)
