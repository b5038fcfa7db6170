"""How model families take videos and images: read off the checkpoint's processor and configuration, never its name."""

from video_tool.models.families.family import Family
from video_tool.models.families.finding import FAMILIES, family_of

__all__ = ["FAMILIES", "Family", "family_of"]
