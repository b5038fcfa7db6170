"""The tools of video_tool as a tool spec."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.tools.tool_spec.base import SPEC_FUNCTION_TYPE, BaseToolSpec
from llama_index.core.workflow import Context, Event

from video_tool.adapters import TOOLS, Toolbox, ToolResult, shared_toolbox
from video_tool.progress import OnProgress, Progress, ignore_progress


class VideoProgressEvent(Event):
    """How far a call is, as `video_tool.progress.Progress` describes it; in the stream of an agent's events."""

    stage: str
    subject: str
    done: int
    total: int | None
    unit: str
    rate: float | None


class VideoToolSpec(BaseToolSpec):
    """`video_qa`, `video_probe` and `video_frames`.

    The output of a call has the whole `ToolResult` as its `raw_output`, with the error's code if it `is_error`.

    Args:
        toolbox: with which model and settings; by default as `VIDEO_TOOL_*` say.
    """

    spec_functions: list[SPEC_FUNCTION_TYPE] = list(TOOLS)  # noqa: RUF012 — as the base class has it

    def __init__(self, toolbox: Toolbox | None = None) -> None:
        self._toolbox = toolbox or shared_toolbox()

    def to_tool_list(
        self,
        spec_functions: Sequence[SPEC_FUNCTION_TYPE] | None = None,
        func_to_metadata_mapping: Mapping[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """The tools, for an agent; or only those that `spec_functions` names."""
        described = {
            tool.name: ToolMetadata(name=tool.name, description=tool.description, fn_schema=tool.arguments)
            for tool in TOOLS.values()
        } | dict(func_to_metadata_mapping or {})
        names = [name if isinstance(name, str) else name[0] for name in spec_functions or self.spec_functions]
        return [_VideoTool(self._toolbox, name, described[name]) for name in names]


class _VideoTool(FunctionTool):
    def __init__(self, toolbox: Toolbox, name: str, metadata: ToolMetadata) -> None:
        def run(*, ctx: Context | None, **arguments: Any) -> ToolResult:  # noqa: ARG001 — it can't be told from here
            return toolbox.call(name, arguments)

        async def arun(*, ctx: Context | None, **arguments: Any) -> ToolResult:
            return await toolbox.acall(name, arguments, on_progress=_telling(ctx))

        super().__init__(fn=run, async_fn=arun, metadata=metadata)
        self.requires_context, self.ctx_param_name = True, "ctx"  # agents give theirs; others need not

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:
        return _shown(super().call(*args, **{"ctx": None} | kwargs))

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        return _shown(await super().acall(*args, **{"ctx": None} | kwargs))


def _shown(output: ToolOutput) -> ToolOutput:
    result: ToolResult = output.raw_output
    images = [ImageBlock(image=image.data, image_mimetype=image.media_type) for image in result.images]
    output.blocks = [TextBlock(text=result.text), *images]
    output.is_error = result.error is not None
    return output


def _telling(ctx: Context | None) -> OnProgress:
    if ctx is None:
        return ignore_progress
    loop = asyncio.get_running_loop()

    def tell(news: Progress) -> None:
        loop.call_soon_threadsafe(ctx.write_event_to_stream, VideoProgressEvent(**asdict(news)))

    return tell
