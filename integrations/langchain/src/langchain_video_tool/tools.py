"""video-tool's tools as LangChain's: names, descriptions, arguments, results and errors are video-tool's own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langchain_core.tools.base import ArgsSchema

from langchain_video_tool.engine import EngineFields
from langchain_video_tool.progress import teller, telling
from video_tool.adapters import TOOLS, Tool, Toolbox, ToolError, ToolResult, shared_toolbox, tool_schema

_Content = str | list[str | dict[str, Any]]


class VideoToolCallError(ToolException):
    """A call failed, and `handle_tool_error` is False.

    Attributes:
        error: its `code`, `message`, `retryable` and `retry_after`.
    """

    def __init__(self, error: ToolError) -> None:
        super().__init__(error.message)
        self.error = error


class VideoTool(BaseTool, EngineFields):
    """Base of the tools.

    Called with a `ToolCall`, a tool returns a `ToolMessage`: its content is for the model, its artifact for programs.
    After an error its status is `error`, and its artifact a `video_tool.adapters.ToolError`. What `handle_tool_error`
    says is as with any LangChain tool, but by default errors are handled: the model is told what to do instead. Errors
    in programs raise whatever it says.
    """

    definition: ClassVar[Tool]

    handle_tool_error: bool | str | Callable[[ToolException], _Content] | None = True
    response_format: Literal["content_and_artifact"] = "content_and_artifact"

    @property
    def tool_call_schema(self) -> ArgsSchema:
        """What chat models are bound with: no `default`, which strict schemas refuse; null stands for it.

        LangChain makes schemas strict by requiring all arguments, and so does OpenAI's Responses API where nothing is
        said: those that may be left out may be null, in the form that providers' packages know from pydantic.
        """
        schema = tool_schema("openai", self.definition.name)["function"]["parameters"]
        properties = {
            name: content if name in schema["required"] else _or_null(content)
            for name, content in schema["properties"].items()
        }
        return {"description": self.description, **schema, "properties": properties}

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[()], dict[str, Any]]:
        """Leaves checking arguments to the toolbox, whose errors tell models more, and keeps the call's id."""
        if isinstance(tool_input, str):  # by LangChain's convention it is the first argument
            tool_input = {next(iter(self.definition.arguments.model_fields)): tool_input}
        return (), {"arguments": tool_input, "tool_call_id": tool_call_id}

    def _run(
        self, arguments: dict[str, Any], tool_call_id: str | None, *, run_manager: CallbackManagerForToolRun
    ) -> tuple[Any, Any]:
        tell = teller(run_manager, self._said_of(tool_call_id))
        result = self.asked().call(self.definition.name, arguments, on_progress=tell, seconds=self.timeout)
        return self._output(result, tool_call_id)

    async def _arun(
        self, arguments: dict[str, Any], tool_call_id: str | None, *, run_manager: AsyncCallbackManagerForToolRun
    ) -> tuple[Any, Any]:
        async with telling(run_manager, self._said_of(tool_call_id)) as tell:
            result = await self.asked().acall(self.definition.name, arguments, on_progress=tell, seconds=self.timeout)
        return self._output(result, tool_call_id)

    def asked(self) -> Toolbox:
        """The engine that calls go to."""
        return self.toolbox or shared_toolbox()

    def _said_of(self, tool_call_id: str | None) -> dict[str, Any]:
        return {"tool": self.name, "tool_call_id": tool_call_id}

    def _output(self, result: ToolResult, tool_call_id: str | None) -> tuple[Any, Any]:
        """Content and artifact. An error is a message already: LangChain gives those it makes of errors no artifact."""
        if result.error is None:
            return _content(result), result.content
        told = self._handled(result.error, result.text)
        if tool_call_id is None:
            return told, None
        message = ToolMessage(told, artifact=result.error, status="error", name=self.name, tool_call_id=tool_call_id)
        return message, None

    def _handled(self, error: ToolError, text: str) -> _Content:
        failed = VideoToolCallError(error)
        match self.handle_tool_error:
            case True:
                return text
            case str(words):
                return words
            case handle if callable(handle):
                return handle(failed)
            case _:
                raise failed


class VideoQATool(VideoTool):
    """Answers a question about videos and images.

    The content is the answer with the moments that it rests on, and warnings; the artifact is the
    `video_tool.VideoAnswer`.
    """

    definition = TOOLS["video_qa"]

    name: str = definition.name
    description: str = definition.description
    args_schema: ArgsSchema | None = definition.arguments


class VideoProbeTool(VideoTool):
    """Tells what a video is, and what a question about it would cost.

    The artifact is a `video_tool.adapters.ProbeResult`.
    """

    definition = TOOLS["video_probe"]

    name: str = definition.name
    description: str = definition.description
    args_schema: ArgsSchema | None = definition.arguments


class VideoFramesTool(VideoTool):
    """Shows frames of a video to chat models that take images in tool messages.

    The content is a text block and an image block for each frame; the artifact is a
    `video_tool.adapters.FramesResult`.
    """

    definition = TOOLS["video_frames"]

    name: str = definition.name
    description: str = definition.description
    args_schema: ArgsSchema | None = definition.arguments


def _content(result: ToolResult) -> _Content:
    if not result.images:
        return result.text
    images = (
        {"type": "image", "base64": b64encode(image.data).decode("ascii"), "mime_type": image.media_type}
        for image in result.images
    )
    return [{"type": "text", "text": result.text}, *images]


def _or_null(content: dict[str, Any]) -> dict[str, Any]:
    kind = {key: value for key, value in content.items() if key != "description"}
    return {"anyOf": [kind, {"type": "null"}], "description": content["description"]}
