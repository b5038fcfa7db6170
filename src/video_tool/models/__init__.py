"""Models: from a prompt to tokens."""

from video_tool.models.base import Generation, VideoLanguageModel

__all__ = ["Generation", "VideoLanguageModel"]
