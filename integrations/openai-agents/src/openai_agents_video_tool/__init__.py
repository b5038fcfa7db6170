"""Function tools with which agents of the OpenAI Agents SDK ask questions about videos."""

from openai_agents_video_tool.tools import video_tools

__all__ = ["video_tools"]
