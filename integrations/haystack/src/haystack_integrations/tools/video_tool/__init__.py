"""Questions about videos, as tools of Haystack's agents."""

from __future__ import annotations

import base64
from typing import Any

from haystack.core.serialization import generate_qualified_class_name
from haystack.dataclasses import ImageContent, TextContent
from haystack.tools import Tool, Toolset
from haystack.tools.errors import ToolInvocationError
from haystack_integrations.common.video_tool import toolbox_from_dict, toolbox_to_dict

from video_tool.adapters import TOOLS, Toolbox, ToolError, ToolResult, shared_toolbox, tool_schema

__all__ = ["VideoTool", "VideoToolInvocationError", "VideoToolset"]


class VideoToolInvocationError(ToolInvocationError):
    """What a call could not do; agents show its words to the model. `error` has the code."""

    def __init__(self, tool_name: str, error: ToolError) -> None:
        super().__init__(error.message, tool_name=tool_name)
        self.error = error


class VideoTool(Tool):
    """One tool.

    Args:
        name: one of `video_tool.adapters.TOOLS`.
        toolbox: by default the one of this process, which `VIDEO_TOOL_*` configure.
        outputs_to_state: where an agent's state keeps results, as for any `Tool`, without handlers. The source
            `content` is all of a result.
    """

    def __init__(
        self,
        name: str = "video_qa",
        toolbox: Toolbox | None = None,
        outputs_to_state: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self._toolbox = toolbox or shared_toolbox()
        super().__init__(
            name=name,
            description=TOOLS[name].description,
            parameters=tool_schema("openai", name)["function"]["parameters"],
            function=self.invoke,
            async_function=self.invoke_async,
            outputs_to_string={"source": "shown", "raw_result": True},
            outputs_to_state=outputs_to_state,
        )

    def invoke(self, **kwargs: Any) -> dict[str, Any]:
        return self._given(self._toolbox.call(self.name, kwargs))

    async def invoke_async(self, **kwargs: Any) -> dict[str, Any]:
        return self._given(await self._toolbox.acall(self.name, kwargs))

    def _given(self, result: ToolResult) -> dict[str, Any]:
        if result.error is not None:
            raise VideoToolInvocationError(self.name, result.error)
        pictures = [
            ImageContent(base64.b64encode(image.data).decode(), image.media_type, meta={"timestamp": image.timestamp})
            for image in result.images
        ]
        shown = [TextContent(result.text), *pictures] if pictures else result.text
        return {"shown": shown, "content": result.readable}

    def to_dict(self) -> dict[str, Any]:
        toolbox = toolbox_to_dict(self._toolbox)
        data = {"name": self.name, "toolbox": toolbox, "outputs_to_state": self.outputs_to_state}
        return {"type": generate_qualified_class_name(type(self)), "data": data}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VideoTool:
        saved = data["data"]
        return cls(saved["name"], toolbox_from_dict(saved["toolbox"]), saved["outputs_to_state"])


class VideoToolset(Toolset):
    """All tools: `video_qa`, `video_probe` and, for models that can see, `video_frames`.

    Args:
        toolbox: as for `VideoTool`.
        outputs_to_state: as for `VideoTool`.
    """

    def __init__(
        self, toolbox: Toolbox | None = None, outputs_to_state: dict[str, dict[str, Any]] | None = None
    ) -> None:
        super().__init__([VideoTool(name, toolbox, outputs_to_state) for name in TOOLS])

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VideoToolset:
        one = data["data"]["tools"][0]["data"]
        return cls(toolbox_from_dict(one["toolbox"]), one["outputs_to_state"])
