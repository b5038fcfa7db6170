"""Models: from a prompt to tokens."""

from video_tool.models.backends import find_backend, load_model
from video_tool.models.base import BatchModel, Generation, OnText, VideoLanguageModel
from video_tool.models.holding import HeldModel, InUse
from video_tool.models.loading_ahead import LoadAhead
from video_tool.models.options import check_foreign_generation, check_generation, check_remote_generation
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.structured import check_grammar

__all__ = [
    "BatchModel",
    "Generation",
    "HeldModel",
    "InUse",
    "LoadAhead",
    "OnText",
    "Preprocessor",
    "VideoLanguageModel",
    "check_foreign_generation",
    "check_generation",
    "check_grammar",
    "check_remote_generation",
    "find_backend",
    "load_model",
]
