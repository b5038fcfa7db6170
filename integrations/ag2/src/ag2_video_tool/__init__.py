"""Questions about videos, as tools of AG2's agents."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack, ExitStack
from functools import partial

from ag2 import Context, ImageInput, Toolkit, ToolResult
from ag2.events import ToolCallEvent, ToolErrorEvent, ToolResultEvent
from ag2.middleware import BaseMiddleware, ToolExecution
from ag2.tools.types import FunctionDefinition, FunctionToolSchema, Tool

from video_tool.adapters import TOOLS, Toolbox, ToolError, shared_toolbox, tool_schema

__all__ = ["VideoTool", "VideoToolCallError", "VideoToolkit"]


class VideoToolCallError(Exception):
    """What a call could not do, as the `error` of AG2's `ToolErrorEvent`; its own `error` has the code."""

    def __init__(self, error: ToolError) -> None:
        super().__init__(error.message)
        self.error = error


class VideoTool(Tool):
    """One tool. All of a result is in the `metadata` of AG2's, under `video_tool`.

    Args:
        name: one of `video_tool.adapters.TOOLS`.
        toolbox: by default the one of this process, which `VIDEO_TOOL_*` configure.
    """

    def __init__(self, name: str = "video_qa", toolbox: Toolbox | None = None) -> None:
        self.name = name
        self._toolbox = toolbox or shared_toolbox()
        told = tool_schema("openai", name)["function"]
        definition = FunctionDefinition(name, told["description"], told["parameters"])
        self._schema = FunctionToolSchema(definition)

    async def schemas(self, context: Context) -> list[FunctionToolSchema]:  # noqa: ARG002 — as AG2 calls it
        return [self._schema]

    def register(
        self, stack: ExitStack | AsyncExitStack, context: Context, *, middleware: Iterable[BaseMiddleware] = ()
    ) -> None:
        execution: ToolExecution = self
        for wrapper in middleware:
            execution = partial(wrapper.on_tool_execution, execution)

        async def execute(event: ToolCallEvent, context: Context) -> None:
            await context.send(await execution(event.handled_by(f"video_tool:{self.name}"), context))

        stack.enter_context(context.stream.where(ToolCallEvent.name == self.name).sub_scope(execute))

    async def __call__(self, event: ToolCallEvent, context: Context) -> ToolResultEvent:  # noqa: ARG002 — as above
        try:
            arguments = event.serialized_arguments
        except ValueError:  # no JSON: the toolbox tells the model so
            arguments = event.arguments
        result = await self._toolbox.acall(self.name, arguments)
        images = [ImageInput(data=image.data, media_type=image.media_type) for image in result.images]
        shown = ToolResult(result.text, *images, metadata={"video_tool": result.readable})
        if result.error is None:
            return ToolResultEvent.from_call(event, shown)
        error = VideoToolCallError(result.error)
        return ToolErrorEvent(parent_id=event.id, name=event.name, error=error, result=shown)


class VideoToolkit(Toolkit):
    """All tools: `video_qa`, `video_probe` and, for models that can see, `video_frames`.

    Args:
        toolbox: as for `VideoTool`.
    """

    def __init__(self, toolbox: Toolbox | None = None) -> None:
        super().__init__(*(VideoTool(name, toolbox) for name in TOOLS))
