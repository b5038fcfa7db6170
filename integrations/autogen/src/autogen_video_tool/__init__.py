"""Questions about videos, as tools of AutoGen's agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, cast

from autogen_core import EVENT_LOGGER_NAME, CancellationToken, trace_tool_span
from autogen_core.logging import ToolCallEvent
from autogen_core.tools import BaseTool, ToolSchema
from pydantic import BaseModel

from video_tool import CancelScope
from video_tool.adapters import TOOLS, Toolbox, ToolError, ToolResult, shared_toolbox, tool_schema

__all__ = ["VideoTool", "VideoToolCallError", "VideoToolCallEvent", "video_tools"]

_log = logging.getLogger(EVENT_LOGGER_NAME)


class VideoToolCallError(Exception):
    """What a call could not do; AutoGen shows its words to the model. `error` has the code."""

    def __init__(self, error: ToolError) -> None:
        super().__init__(error.message)
        self.error = error


class VideoToolCallEvent(ToolCallEvent):
    """Logged with every call, to AutoGen's logger of events: `outcome` is all of the result, or the error's code."""

    def __init__(self, tool_name: str, arguments: Mapping[str, Any], outcome: ToolResult) -> None:
        super().__init__(tool_name=tool_name, arguments=dict(arguments), result=outcome.text)
        self.outcome = outcome


class VideoTool(BaseTool[BaseModel, ToolResult]):
    """One tool; a cancelled `CancellationToken` stops its work.

    Args:
        name: one of `video_tool.adapters.TOOLS`.
        toolbox: by default the one of this process, which `VIDEO_TOOL_*` configure.
    """

    def __init__(self, name: str = "video_qa", toolbox: Toolbox | None = None) -> None:
        tool = TOOLS[name]
        super().__init__(tool.arguments, ToolResult, tool.name, tool.description)
        self._toolbox = toolbox or shared_toolbox()

    @property
    def schema(self) -> ToolSchema:
        return cast(ToolSchema, tool_schema("openai", self.name)["function"])

    async def run(self, args: BaseModel, cancellation_token: CancellationToken) -> ToolResult:
        return await self.run_json(args.model_dump(), cancellation_token)

    async def run_json(
        self, args: Mapping[str, Any], cancellation_token: CancellationToken, call_id: str | None = None
    ) -> ToolResult:
        """As in AutoGen, but arguments are checked by the toolbox, whose words models can act on.

        Raises:
            VideoToolCallError: it went wrong.
        """
        with trace_tool_span(tool_name=self.name, tool_description=self.description, tool_call_id=call_id):
            result = await self._call(args, cancellation_token)
        _log.info(VideoToolCallEvent(self.name, args, result))
        if result.error is not None:
            raise VideoToolCallError(result.error)
        return result

    async def _call(self, args: Mapping[str, Any], cancellation_token: CancellationToken) -> ToolResult:
        """The result, which tells of a cancelled token: agents would wait for ever for a tool that is cancelled."""
        scope = CancelScope()
        cancellation_token.add_callback(scope.cancel)
        with scope:
            call = asyncio.ensure_future(self._toolbox.acall(self.name, args))
            try:
                return await asyncio.shield(call)
            except asyncio.CancelledError:
                if cancellation_token.is_cancelled():
                    return await call
                call.cancel()
                raise

    def return_value_as_string(self, value: ToolResult) -> str:
        return value.text


def video_tools(toolbox: Toolbox | None = None) -> list[VideoTool]:
    """`video_qa` and `video_probe`.

    `video_frames` is left out: AutoGen's agents hand models what tools return as text, images too.
    """
    return [VideoTool(name, toolbox) for name in ("video_qa", "video_probe")]
