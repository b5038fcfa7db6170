"""Models: from a prompt to tokens."""

from video_tool.models.base import Generation, OnText, VideoLanguageModel
from video_tool.models.holding import HeldModel
from video_tool.models.options import check_generation

__all__ = ["Generation", "HeldModel", "OnText", "VideoLanguageModel", "check_generation"]
