"""A toolset with which Pydantic AI's agents ask questions about videos."""

from pydantic_ai_video_tool.toolset import VideoProgressEvent, VideoToolset

__all__ = ["VideoProgressEvent", "VideoToolset"]
