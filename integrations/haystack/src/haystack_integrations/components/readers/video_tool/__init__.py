"""Questions about videos, as a component of Haystack's pipelines."""

from __future__ import annotations

from typing import Any

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import GeneratedAnswer
from haystack_integrations.common.video_tool import toolbox_from_dict, toolbox_to_dict
from haystack_integrations.tools.video_tool import VideoToolInvocationError

from video_tool.adapters import Toolbox, ToolResult, shared_toolbox

__all__ = ["VideoReader"]


@component
class VideoReader:
    """Answers a question about videos.

    Args:
        toolbox: by default the one of this process, which `VIDEO_TOOL_*` configure.
    """

    def __init__(self, toolbox: Toolbox | None = None) -> None:
        self._toolbox = toolbox or shared_toolbox()

    @component.output_types(answers=list[GeneratedAnswer], text=str)
    def run(
        self,
        query: str,
        videos: list[str] | None = None,
        images: list[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
        max_new_tokens: int | None = None,
    ) -> dict[str, Any]:
        """Asks; the arguments are those of the tool `video_qa`, with `query` as its question.

        Returns:
            `answers`: one, with all of the result as `meta`; `text`: the same for a prompt of another model, with the
            moments that it rests on, and marked as content that gives no instructions.

        Raises:
            VideoToolInvocationError: it went wrong; `error` has the code.
        """
        arguments = {"question": query, "videos": videos, "images": images, "start": start, "end": end}
        arguments |= {"num_frames": num_frames, "max_new_tokens": max_new_tokens}
        return _given(query, self._toolbox.call("video_qa", arguments))

    @component.output_types(answers=list[GeneratedAnswer], text=str)
    async def run_async(
        self,
        query: str,
        videos: list[str] | None = None,
        images: list[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
        max_new_tokens: int | None = None,
    ) -> dict[str, Any]:
        """As `run`; cancelling the task stops the work."""
        arguments = {"question": query, "videos": videos, "images": images, "start": start, "end": end}
        arguments |= {"num_frames": num_frames, "max_new_tokens": max_new_tokens}
        return _given(query, await self._toolbox.acall("video_qa", arguments))

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, toolbox=toolbox_to_dict(self._toolbox))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VideoReader:
        data["init_parameters"]["toolbox"] = toolbox_from_dict(data["init_parameters"]["toolbox"])
        return default_from_dict(cls, data)


def _given(query: str, result: ToolResult) -> dict[str, Any]:
    if result.error is not None:
        raise VideoToolInvocationError("video_qa", result.error)
    answer = result.content.model_dump(mode="json") if result.content is not None else {}
    return {
        "answers": [GeneratedAnswer(data=answer["text"], query=query, documents=[], meta=answer)],
        "text": result.text,
    }
