"""Questions about videos, as tools of CrewAI's agents."""

from __future__ import annotations

from typing import Any

from crewai.tools import BaseTool, ToolFailure
from pydantic import BaseModel, Field

from video_tool.adapters import TOOLS, Toolbox, ToolResult, shared_toolbox

__all__ = ["VideoProbeTool", "VideoQATool"]

_QA, _PROBE = TOOLS["video_qa"], TOOLS["video_probe"]


class _VideoTool(BaseTool):
    toolbox: Toolbox = Field(default_factory=shared_toolbox, exclude=True)
    """By default the one of this process, which `VIDEO_TOOL_*` configure."""

    def _validate_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return kwargs  # the toolbox checks them, in words that models can act on

    def _run(self, **arguments: Any) -> ToolResult | ToolFailure:
        return _given(self.toolbox.call(self.name, arguments))

    async def _arun(self, **arguments: Any) -> ToolResult | ToolFailure:
        return _given(await self.toolbox.acall(self.name, arguments))

    def format_output_for_agent(self, raw_result: Any) -> str:
        return raw_result.text if isinstance(raw_result, ToolResult) else super().format_output_for_agent(raw_result)


class VideoQATool(_VideoTool):
    """Answers questions about videos. Hooks and events get all of the result, models its text."""

    name: str = _QA.name
    description: str = _QA.description
    args_schema: type[BaseModel] = _QA.arguments


class VideoProbeTool(_VideoTool):
    """Tells how long a video is, and what a question about it would cost."""

    name: str = _PROBE.name
    description: str = _PROBE.description
    args_schema: type[BaseModel] = _PROBE.arguments


def _given(result: ToolResult) -> ToolResult | ToolFailure:
    """Of a result what CrewAI takes, which has failures of its own."""
    error = result.error
    if error is None:
        return result
    return ToolFailure(
        message=error.message, code=error.code, retryable=error.retryable, details={"retry_after": error.retry_after}
    )
