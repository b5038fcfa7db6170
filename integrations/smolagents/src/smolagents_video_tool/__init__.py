"""Tools with which smolagents' agents ask questions about videos."""

from smolagents_video_tool.tools import VideoCallError, VideoFramesTool, VideoProbeTool, VideoQATool, VideoText

__all__ = ["VideoCallError", "VideoFramesTool", "VideoProbeTool", "VideoQATool", "VideoText"]
