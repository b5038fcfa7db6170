"""All tools over one engine."""

from __future__ import annotations

from langchain_core.tools import BaseTool, BaseToolkit

from langchain_video_tool.engine import EngineFields
from langchain_video_tool.tools import VideoFramesTool, VideoProbeTool, VideoQATool


class VideoToolkit(BaseToolkit, EngineFields):
    """`video_qa`, and its helpers `video_probe` and `video_frames`.

    Give `video_frames` to chat models alone that take images in tool messages.
    """

    def get_tools(self) -> list[BaseTool]:
        """The tools, which share one engine."""
        kinds = (VideoQATool, VideoProbeTool, VideoFramesTool)
        return [kind(toolbox=self.toolbox, timeout=self.timeout) for kind in kinds]
