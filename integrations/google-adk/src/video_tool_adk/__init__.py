"""Questions about videos, as tools of the Agent Development Kit."""

from __future__ import annotations

from typing import Any

from google.adk.agents.readonly_context import ReadonlyContext
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.base_toolset import BaseToolset, ToolPredicate
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from video_tool.adapters import TOOLS, Toolbox, shared_toolbox, tool_schema

__all__ = ["RESULTS", "VideoTool", "VideoToolset"]

RESULTS = "temp:video_tool:"
"""Before the id of a call, the key of the session's state that has all of its result, or its error with the code."""


class VideoTool(BaseTool):
    """One tool.

    Args:
        name: one of `video_tool.adapters.TOOLS`.
        toolbox: by default the one of this process, which `VIDEO_TOOL_*` configure.
    """

    def __init__(self, name: str = "video_qa", toolbox: Toolbox | None = None) -> None:
        super().__init__(name=name, description=TOOLS[name].description)
        self._toolbox = toolbox or shared_toolbox()

    def _get_declaration(self) -> types.FunctionDeclaration:
        return types.FunctionDeclaration.model_validate(tool_schema("gemini", self.name))

    async def run_async(self, *, args: dict[str, Any], tool_context: ToolContext) -> dict[str, Any]:
        result = await self._toolbox.acall(self.name, args)
        tool_context.state[f"{RESULTS}{tool_context.function_call_id}"] = result.readable
        if result.error is not None:
            return {"error": result.text}
        images = [types.Part.from_bytes(data=image.data, mime_type=image.media_type) for image in result.images]
        return {"result": result.text, "frames": images} if images else {"result": result.text}


class VideoToolset(BaseToolset):
    """All tools: `video_qa`, `video_probe` and, for models that can see, `video_frames`.

    Args:
        toolbox: as for `VideoTool`.
        tool_filter: names of the tools that are wanted, or a predicate; by default all are.
    """

    def __init__(self, toolbox: Toolbox | None = None, *, tool_filter: ToolPredicate | list[str] | None = None) -> None:
        super().__init__(tool_filter=tool_filter)
        self._tools = [VideoTool(name, toolbox) for name in TOOLS]

    async def get_tools(self, readonly_context: ReadonlyContext | None = None) -> list[BaseTool]:
        return [tool for tool in self._tools if self._is_tool_selected(tool, readonly_context)]
