"""Each tool of video_tool as a smolagents `Tool`."""

from __future__ import annotations

from collections import deque
from io import BytesIO
from typing import Any

from PIL import Image
from smolagents import ActionStep, Tool

from video_tool import CancelScope
from video_tool.adapters import TOOLS, Toolbox, ToolResult, shared_toolbox, tool_schema


class VideoText(str):
    """What the model reads of a call; `result` is all of it."""

    __slots__ = ("result",)

    result: ToolResult


class VideoCallError(Exception):
    """A call that went wrong, in words for the model; `result` is all of it, with the error's code."""

    def __init__(self, result: ToolResult) -> None:
        super().__init__(result.text)
        self.result = result


def _inputs(name: str) -> dict[str, dict[str, Any]]:
    schema = tool_schema("json-schema", name)
    optional = schema["properties"].keys() - set(schema["required"])
    return {
        argument: {**declared, "nullable": True} if argument in optional else declared
        for argument, declared in schema["properties"].items()
    }


class _VideoTool(Tool):
    output_type = "string"
    skip_forward_signature_validation = True  # `forward` takes what `inputs` says, whatever that is

    def __init__(self, toolbox: Toolbox | None = None) -> None:
        super().__init__()
        self.toolbox = toolbox or shared_toolbox()
        self.is_initialized = True  # a call has the model loaded by itself, within its deadline
        self._under_way: set[CancelScope] = set()

    def forward(self, *values: Any, **arguments: Any) -> str:
        """Runs the tool.

        Raises:
            VideoCallError: it went wrong; agents tell the model.
        """
        if len(values) > len(self.inputs):
            raise TypeError(f"{self.name} takes {', '.join(self.inputs)}, and no more")
        named = dict(zip(self.inputs, values, strict=False))
        with CancelScope() as scope:
            self._under_way.add(scope)
            try:
                result = self.toolbox.call(self.name, named | arguments)
            finally:
                self._under_way.discard(scope)
        if result.error is not None:
            raise VideoCallError(result)
        text = VideoText(result.text)
        text.result = result
        return text

    def interrupt(self) -> None:
        """Stops the calls under way, from any thread, as an agent's `interrupt` stops its loop."""
        for scope in tuple(self._under_way):
            scope.cancel()


class VideoQATool(_VideoTool):
    """Answers questions about videos. `toolbox`: with which model and settings; by default as `VIDEO_TOOL_*` say."""

    name = "video_qa"
    description = TOOLS["video_qa"].description
    inputs = _inputs("video_qa")

    def setup(self) -> None:
        """Loads the model now, instead of within the first call."""
        self.toolbox.engine.load()


class VideoProbeTool(_VideoTool):
    """Tells how long and large a video is, and what a question about it would cost. `toolbox`: as for `VideoQATool`."""

    name = "video_probe"
    description = TOOLS["video_probe"].description
    inputs = _inputs("video_probe")


class VideoFramesTool(_VideoTool):
    """Shows frames of a video; the agent needs `step_callbacks=[tool.show]`, and a model that sees.

    `toolbox`: as for `VideoQATool`. Each agent needs a tool of its own.
    """

    name = "video_frames"
    description = TOOLS["video_frames"].description
    inputs = _inputs("video_frames")

    def __init__(self, toolbox: Toolbox | None = None) -> None:
        super().__init__(toolbox)
        self._unseen: deque[bytes] = deque(maxlen=self.toolbox.settings.max_frames)

    def forward(self, *values: Any, **arguments: Any) -> str:
        text = super().forward(*values, **arguments)
        self._unseen.extend(image.data for image in text.result.images)
        return text

    def show(self, step: ActionStep) -> None:
        """Puts the frames of the step's calls where smolagents' models look for images."""
        while self._unseen:
            image = Image.open(BytesIO(self._unseen.popleft()))
            step.observations_images = [*(step.observations_images or []), image]
