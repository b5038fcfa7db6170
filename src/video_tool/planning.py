"""What a question would look at, short of decoding and of the model's weights."""

from __future__ import annotations

from pathlib import Path

from video_tool.answer import Plan
from video_tool.errors import ModelNotFoundError
from video_tool.frames import FetchedMedia
from video_tool.model_options import ModelOptions, PluginOptions, RemoteOptions
from video_tool.models import HeldModel, Preprocessor
from video_tool.question import VideoQuestion
from video_tool.receipt import stamps
from video_tool.settings import Settings
from video_tool.turn import TurnReader


def make_plan(
    question: VideoQuestion, fetched: FetchedMedia, reader: TurnReader, known: Preprocessor | None, settings: Settings
) -> Plan:
    """The plan of a question.

    Args:
        question: what would be asked.
        fetched: what it would be asked about.
        reader: counts frames.
        known: how the model is asked, as far as that is known.
        settings: the ceiling of frames.
    """
    most = question.sampling.model_copy(update={"num_frames": settings.max_frames, "fps": None})
    (media, message), (_, longest) = reader.measure(question.question, fetched, (question.sampling, most))
    return Plan(
        frames=stamps(media.videos),
        videos=tuple(video.info for video in media.videos),
        images=len(media.images),
        prompt_tokens=known and known.estimate((message,)),
        context_tokens=known and known.context_tokens,
        max_frames=known and known.most_frames((longest,), question.generation.max_new_tokens),
    )


def known_preprocessor(
    model: str | Path, options: ModelOptions | RemoteOptions | PluginOptions, held: HeldModel, settings: Settings
) -> Preprocessor | None:
    """How the model is asked, as far as that is known without a download."""
    if not isinstance(options, ModelOptions):
        return None
    loaded = held.model
    if loaded is not None:
        return getattr(loaded, "preprocessor", None)
    from video_tool.models.loading import inspect

    try:
        return inspect(model, settings.plugins)
    except ModelNotFoundError:
        return None
