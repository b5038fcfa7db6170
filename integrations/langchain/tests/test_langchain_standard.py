"""LangChain's standard tests, of every tool. pytest-socket keeps them from the network."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langchain_video_tool import VideoFramesTool, VideoProbeTool, VideoQATool, VideoToolkit

from video_tool.builtin import DEMO_VIDEO

_ASKED: dict[type[BaseTool], dict[str, Any]] = {
    VideoQATool: {"question": "What happens in the video?", "videos": [str(DEMO_VIDEO)], "num_frames": 8},
    VideoProbeTool: {"video": str(DEMO_VIDEO)},
    VideoFramesTool: {"video": str(DEMO_VIDEO), "num_frames": 2},
}


@pytest.fixture(params=_ASKED, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[BaseTool]:
    return request.param


class _OfEachTool:
    """The suites take one tool a class: each test is run once for each, with what is asked of it."""

    @pytest.fixture(autouse=True)
    def _choose(self, kind: type[BaseTool]) -> None:
        self._kind = kind

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return self._kind

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"model": "builtin", "allowed_roots": (DEMO_VIDEO.parent,)}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return _ASKED[self._kind]


class TestUnit(_OfEachTool, ToolsUnitTests):
    pass


@pytest.fixture(scope="module")
def shared() -> VideoToolkit:
    return VideoToolkit(model="builtin", allowed_roots=(DEMO_VIDEO.parent,))


class TestIntegration(_OfEachTool, ToolsIntegrationTests):
    @pytest.fixture
    def tool(self, kind: type[BaseTool], shared: VideoToolkit) -> BaseTool:
        """With an engine that is loaded already."""
        return kind(toolbox=shared.toolbox)
