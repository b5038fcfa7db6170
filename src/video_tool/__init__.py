"""Ask video-language models about videos.

A question goes through these stages, each in a package of its own:

    sources/   a URL, path, bytes or file object becomes a file
    frames/    the file becomes the sampled frames
    prompt/    question and frames become a prompt, by the checkpoint's own chat template
    models/    the prompt becomes the answer's tokens
    engine     VideoQA runs them, and answer.VideoAnswer is the receipt

Names are imported when they are first used, so that `import video_tool` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from video_tool.adapters import Toolbox
    from video_tool.answer import (
        ChoiceScore,
        FeatureCacheUse,
        FrameStamp,
        ModelInfo,
        Plan,
        PrefixCacheUse,
        Timings,
        TokenLogprob,
        TopLogprob,
        Usage,
        VideoAnswer,
        VideoInfo,
    )
    from video_tool.cancellation import CancelScope
    from video_tool.conversation import Conversation
    from video_tool.engine import VideoQA
    from video_tool.errors import VideoToolError
    from video_tool.progress import Progress
    from video_tool.question import Example, FrameSequence, GenerationOptions, Sampling, VideoQuestion
    from video_tool.settings import Settings

_HOMES = {
    "CancelScope": "cancellation",
    "ChoiceScore": "answer",
    "Conversation": "conversation",
    "Example": "question",
    "FeatureCacheUse": "answer",
    "FrameSequence": "question",
    "FrameStamp": "answer",
    "GenerationOptions": "question",
    "ModelInfo": "answer",
    "Plan": "answer",
    "PrefixCacheUse": "answer",
    "Progress": "progress",
    "Sampling": "question",
    "Settings": "settings",
    "Timings": "answer",
    "TokenLogprob": "answer",
    "Toolbox": "adapters",
    "TopLogprob": "answer",
    "Usage": "answer",
    "VideoAnswer": "answer",
    "VideoInfo": "answer",
    "VideoQA": "engine",
    "VideoQuestion": "question",
    "VideoToolError": "errors",
}

__all__ = [
    "CancelScope",
    "ChoiceScore",
    "Conversation",
    "Example",
    "FeatureCacheUse",
    "FrameSequence",
    "FrameStamp",
    "GenerationOptions",
    "ModelInfo",
    "Plan",
    "PrefixCacheUse",
    "Progress",
    "Sampling",
    "Settings",
    "Timings",
    "TokenLogprob",
    "Toolbox",
    "TopLogprob",
    "Usage",
    "VideoAnswer",
    "VideoInfo",
    "VideoQA",
    "VideoQuestion",
    "VideoToolError",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"video_tool.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
