"""Each tool of video_tool as a `FunctionTool`."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from agents import FunctionTool, ToolOutputImage, ToolOutputText
from agents.tool import FunctionToolCustomDataContext
from agents.tool_context import ToolContext

from video_tool.adapters import TOOLS, Tool, Toolbox, ToolResult, shared_toolbox, tool_schema


class _Text(str):
    """What the model reads, on its way to where the SDK asks for the rest."""

    __slots__ = ("result",)

    result: ToolResult


class _Parts(list[ToolOutputText | ToolOutputImage]):
    """What the model reads and sees, likewise."""

    __slots__ = ("result",)

    result: ToolResult


def video_tools(toolbox: Toolbox | None = None) -> list[FunctionTool]:
    """`video_qa`, `video_probe` and `video_frames`, for `Agent(tools=…)`.

    The item of a call's output has everything but the pictures in its `custom_data`: `content`, and `error` with its
    code.

    Args:
        toolbox: with which model and settings; by default as `VIDEO_TOOL_*` say.
    """
    asked = toolbox or shared_toolbox()
    return [_function_tool(tool, asked) for tool in TOOLS.values()]


def _function_tool(tool: Tool, toolbox: Toolbox) -> FunctionTool:
    async def invoke(_context: ToolContext[Any], arguments: str) -> _Text | _Parts:
        return _shown(await toolbox.acall(tool.name, arguments))

    return FunctionTool(
        name=tool.name,
        description=tool.description,
        params_json_schema=tool_schema("openai-responses", tool.name, strict=True)["parameters"],
        on_invoke_tool=invoke,
        custom_data_extractor=_everything,
    )


def _shown(result: ToolResult) -> _Text | _Parts:
    shown = _Text(result.text)
    if result.images:
        shown = _Parts([ToolOutputText(text=result.text)])
        for image in result.images:
            data = b64encode(image.data).decode()
            shown.append(ToolOutputImage(image_url=f"data:{image.media_type};base64,{data}"))
    shown.result = result
    return shown


def _everything(context: FunctionToolCustomDataContext) -> dict[str, Any] | None:
    output = context.output
    if not isinstance(output, _Text | _Parts):  # a guardrail has put something else in its place
        return None
    return output.result.model_dump(mode="json", include={"content", "error"})
