"""How model families take videos and images: read off the checkpoint's processor and configuration, never its name."""

from video_tool.models.families.family import Family
from video_tool.models.families.finding import GROUP, family_of

__all__ = ["GROUP", "Family", "family_of"]
