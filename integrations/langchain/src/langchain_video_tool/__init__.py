"""Questions about videos, for LangChain and LangGraph.

tools.py      `VideoQATool` and its two helpers: video-tool's tools as LangChain's
toolkit.py    all three over one engine
engine.py     the fields that say which engine they ask
progress.py   what a call is doing, told to callbacks and streams
"""

from langchain_video_tool.progress import PROGRESS_EVENT
from langchain_video_tool.toolkit import VideoToolkit
from langchain_video_tool.tools import VideoFramesTool, VideoProbeTool, VideoQATool, VideoToolCallError

__all__ = [
    "PROGRESS_EVENT",
    "VideoFramesTool",
    "VideoProbeTool",
    "VideoQATool",
    "VideoToolCallError",
    "VideoToolkit",
]
