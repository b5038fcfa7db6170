"""A backend whose models say what they were shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from video_tool.answer import ModelInfo, Usage
from video_tool.errors import ModelError
from video_tool.model_options import EngineOptions
from video_tool.models.base import Generation, OnText, Said, VideoLanguageModel
from video_tool.plugins import hookimpl
from video_tool.progress import OnProgress, Progress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions
from video_tool.settings import Settings


class Parrot:
    """Repeats the question, and counts frames."""

    frame_size = None

    def __init__(self, model: str, options: EngineOptions) -> None:
        self.options = options
        self.info = ModelInfo(
            id=model,
            revision=None,
            device=options.get("device", "perch"),
            dtype=None,
            attention=None,
            takes="video",
            kind="chat",
        )

    def check_length(self, messages: Sequence[Message], options: GenerationOptions) -> None:
        """It holds everything."""

    def generate(
        self,
        messages: Sequence[Message],
        options: GenerationOptions,
        on_progress: OnProgress,
        on_text: OnText | None = None,
    ) -> Generation:
        last = messages[-1]
        frames = sum(len(video.images) for video in last.videos)
        words = " ".join(piece.strip() for piece in last.content if isinstance(piece, str))
        text = f"{frames} frames: {words} {sorted(self.options)}"
        if on_text is not None:
            on_text(text)
        return Generation(
            Said(text, (), "stop"), Usage(visual_tokens=None, text_tokens=None, new_tokens=None), 0.0, 0.0
        )


def load(model: str, options: EngineOptions, settings: Settings, on_progress: OnProgress) -> VideoLanguageModel:
    name = model.removeprefix("parrot:")
    on_progress(Progress("load", name, 1, 1, "models"))
    if name == "asleep":
        raise ModelError("it sleeps", hint="Wake it.")
    if name == "broken":
        raise ZeroDivisionError("of its own")
    if name == "egg":
        return object()  # type: ignore[return-value]
    return Parrot(model, options)


@hookimpl
def models() -> dict[str, Callable[..., VideoLanguageModel]]:
    return {"parrot": load}
