"""The tools of video_tool as a toolset."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_ai import BinaryContent, CustomEvent, FunctionToolset, RunContext, Tool, ToolReturn

from video_tool.adapters import TOOLS, Toolbox, shared_toolbox, tool_schema
from video_tool.adapters import Tool as Definition
from video_tool.progress import Progress


@dataclass(kw_only=True)
class VideoProgressEvent(CustomEvent):
    """How far a call is, as `video_tool.progress.Progress` describes it; in a run's stream of events."""

    stage: str
    subject: str
    done: int
    total: int | None
    unit: str
    rate: float | None


class VideoToolset(FunctionToolset[object]):
    """`video_qa`, `video_probe` and `video_frames`.

    The part of the history that a call returned has the whole result, without its pictures, as its `metadata`. So has
    that of a call that went wrong: it raises neither `ToolFailed` nor `ModelRetry`, which have room for words alone.

    Args:
        toolbox: with which model and settings; by default as `VIDEO_TOOL_*` say.
        id: of the toolset, for durable execution.
    """

    def __init__(self, toolbox: Toolbox | None = None, *, id: str | None = "video-tool") -> None:  # noqa: A002 — its name
        asked = toolbox or shared_toolbox()
        super().__init__([_tool(definition, asked) for definition in TOOLS.values()], id=id)


def _tool(definition: Definition, toolbox: Toolbox) -> Tool[object]:
    async def call(ctx: RunContext[object], **arguments: Any) -> ToolReturn:
        loop, told = asyncio.get_running_loop(), list[Future[VideoProgressEvent]]()

        def tell(news: Progress) -> None:
            told.append(asyncio.run_coroutine_threadsafe(ctx.emit(VideoProgressEvent(**asdict(news))), loop))

        result = await toolbox.acall(definition.name, arguments, on_progress=tell)
        await asyncio.gather(*map(asyncio.wrap_future, told))
        kept = result.model_copy(update={"images": ()})
        images = [BinaryContent(image.data, media_type=image.media_type) for image in result.images]
        return ToolReturn([result.text, *images] if images else result.text, metadata=kept)

    schema = tool_schema("openai-responses", definition.name)["parameters"]
    return Tool.from_schema(call, definition.name, definition.description, schema, takes_ctx=True)
