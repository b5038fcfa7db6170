"""The tools in Simon Willison's `llm`, which finds this module by its entry point.

    llm -T video_qa "What happens in https://example.org/cats.mp4?" --td
    llm -f video:https://example.org/cats.mp4?num_frames=4 "What happens here?"

The first has the model call a tool; the second shows frames to a model that can see.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import llm

from video_tool.adapters.results import ToolError, ToolResult
from video_tool.adapters.schemas import tool_schema
from video_tool.adapters.tools import TOOLS, VIDEO_FRAMES

if TYPE_CHECKING:
    from video_tool.adapters.toolbox import Toolbox


class FailedCallError(Exception):
    """A tool's error, whose words `llm` hands on to the model.

    Attributes:
        error: the whole of it.
    """

    def __init__(self, error: ToolError) -> None:
        super().__init__(error.message)
        self.error = error


@llm.hookimpl
def register_tools(register: Callable[[llm.Tool], None]) -> None:
    """Each of the tools, by its name."""
    for name, tool in TOOLS.items():
        schema = tool_schema("json-schema", name)
        register(llm.Tool(name, tool.description, schema, partial(_call, name)))


@llm.hookimpl
def register_fragment_loaders(register: Callable[..., None]) -> None:
    """`-f video:…`."""
    register("video", load_video)


def load_video(reference: str) -> list[llm.Fragment | llm.Attachment]:
    """Frames of a video, as images, and their moments in words.

    video:https://example.org/cats.mp4
    video:cats.mp4?num_frames=4&start=60&end=90
    video:cats.mp4?timestamps=1.5,4

    Files have to lie in the working directory, the temp folder, or a folder that VIDEO_TOOL_ALLOWED_ROOTS names.
    """
    video, arguments = _split(reference)
    result = _result(_users_toolbox(), VIDEO_FRAMES.name, {"video": video, **arguments})
    pictures = [llm.Attachment(type=image.media_type, content=image.data) for image in result.images]
    return [llm.Fragment(result.text, f"video:{reference}"), *pictures]


def _split(reference: str) -> tuple[str, dict[str, Any]]:
    """The video, and what is behind the last `?` where all of it is meant for us: URLs have queries of their own."""
    head, mark, tail = reference.rpartition("?")
    given: dict[str, Any] = dict(parse_qsl(tail, keep_blank_values=True))
    known = VIDEO_FRAMES.arguments.model_fields.keys() - {"video"}
    if not mark or not given or not given.keys() <= known:
        return reference, {}
    if "timestamps" in given:
        given["timestamps"] = given["timestamps"].split(",")
    return head, given


def _call(name: str, /, **arguments: Any) -> llm.ToolOutput:
    from video_tool.adapters.toolbox import shared_toolbox

    result = _result(shared_toolbox(), name, arguments)
    pictures = [llm.Attachment(type=image.media_type, content=image.data) for image in result.images]
    return llm.ToolOutput(result.text, pictures)


@cache
def _users_toolbox() -> Toolbox:
    """For what users write themselves: files that they may read by `video-tool` can be read here."""
    from video_tool.adapters.toolbox import Toolbox
    from video_tool.settings import Settings

    settings = Settings()
    return Toolbox(settings=settings.model_copy(update={"allowed_roots": settings.allowed_roots}))


def _result(toolbox: Toolbox, name: str, arguments: dict[str, Any]) -> ToolResult:
    result = toolbox.call(name, arguments)
    if result.error is not None:
        raise FailedCallError(result.error)
    return result
