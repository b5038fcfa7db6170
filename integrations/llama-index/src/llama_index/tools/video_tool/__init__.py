"""LlamaIndex tools that ask questions about videos."""

from llama_index.tools.video_tool.base import VideoProgressEvent, VideoToolSpec

__all__ = ["VideoProgressEvent", "VideoToolSpec"]
