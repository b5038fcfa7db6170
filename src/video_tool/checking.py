"""What can't be asked of any model, or of the one at hand, refused before anything is fetched."""

from __future__ import annotations

from pathlib import Path

from video_tool.errors import QuestionError
from video_tool.model_options import ModelOptions, PluginOptions, RemoteOptions
from video_tool.models import (
    check_foreign_generation,
    check_generation,
    check_grammar,
    check_remote_generation,
    find_backend,
)
from video_tool.question import GenerationOptions, VideoQuestion
from video_tool.settings import Settings


def check_question(
    question: VideoQuestion,
    model: str | Path,
    options: ModelOptions | RemoteOptions | PluginOptions,
    settings: Settings,
    *,
    shown_already: bool,
) -> None:
    """Refuses a question that makes no sense. Arguments and errors as for `VideoQA.check`."""
    if not question.question.strip():
        raise QuestionError("the question is empty", hint="Ask something about the videos or images.")
    if not (question.videos or question.images or shown_already):
        raise QuestionError("there is no video and no image", hint="Give at least one of them.")
    if isinstance(options, PluginOptions):
        find_backend(str(model), options.backend, settings)
    check_options(question.generation, options)


def check_options(generation: GenerationOptions, options: ModelOptions | RemoteOptions | PluginOptions) -> None:
    """Refuses what can't be generated so. Raises `QuestionError`.

    Args:
        generation: how to generate.
        options: how the model is run.
    """
    check_generation(generation)
    if isinstance(options, RemoteOptions):
        check_remote_generation(generation)
    elif isinstance(options, PluginOptions):
        check_foreign_generation(generation)
    elif generation.response_format is not None:
        check_grammar(generation.response_format)
