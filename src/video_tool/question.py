"""What is asked: the question, its media, and how to sample and generate."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, Self, TypeAlias, TypedDict

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SkipValidation,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from video_tool.errors import QuestionError
from video_tool.response_format import ResponseFormat, json_schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


ImageInput: TypeAlias = "str | Path | bytes | BinaryIO | Image | NDArray[np.uint8]"
"""A URL or path, an image file's bytes, a file object, a PIL image, or an RGB array (height, width, 3)."""


@dataclass(frozen=True)
class FrameSequence:
    """A video that consists of images already.

    Attributes:
        frames: images of one size, however images are given; one array (frames, height, width, 3) will do.
        fps: frames per second; give this or `timestamps`.
        timestamps: seconds of each frame, rising.
        name: how answers and errors call it.
    """

    frames: Sequence[ImageInput] | NDArray[np.uint8] = field(repr=False)
    fps: float | None = None
    timestamps: Sequence[float] | None = None
    name: str = "frames"

    @classmethod
    def from_folder(cls, folder: str | Path, fps: float) -> Self:
        """The numbered images of a folder, by their numbers: 2.png comes before 10.png. Only those looked at are read.

        Args:
            folder: where they are; files without a number in their name are left out.
            fps: frames per second.

        Raises:
            QuestionError: there is no such folder, or no numbered file in it.
        """
        folder = Path(folder)
        numbered = [path for path in folder.glob("*") if re.search(r"\d", path.stem) and path.is_file()]
        if not numbered:
            raise QuestionError(f"{folder} is no folder of numbered images", hint="Name them like 0001.png, 0002.png.")
        # the last number counts: in cam2_0010.png it is 10
        frames = sorted(numbered, key=lambda path: (int(re.findall(r"\d+", path.stem)[-1]), path.name))
        return cls(frames, fps=fps, name=folder.name)


VideoInput: TypeAlias = str | Path | bytes | BinaryIO | FrameSequence
"""A URL or path, a video file's bytes, a file object opened for reading bytes, or decoded frames."""

_REFERENCE = "A URL (http, https) or the path of a file."


STRATEGIES = ("uniform", "keyframes", "scenes")
"""Our ways of choosing frames; see `Sampling`. Plugins add others, by name."""


class Sampling(BaseModel):
    """Which frames of a video are looked at, of those in the range from `start` to `end`.

    `uniform`: of `total` frames, those with the indices `i * total // num_frames`; with `fps` instead, the frames
    shown at `start`, `start + 1 / fps`, ….
    `keyframes`: the same, each moved to the nearest keyframe that no other takes: nothing in between is decoded.
    `scenes`: the range is cut where the picture changes at once, and every scene gets at least one frame, from its
    middle; with more scenes than frames, scenes are left out uniformly. All of the range is decoded for it.
    Any other name is that of a plugin's strategy.
    With `timestamps`, none of these: the frames shown at these moments.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_frames: int | None = Field(default=None, description="How many frames of each video; 1 or more. Not with fps.")
    fps: float | None = Field(
        default=None, description="Frames per second of video to look at; above 0. Not with num_frames."
    )
    strategy: str = Field(
        default="uniform",
        description="uniform: evenly spread; keyframes: the nearest ones that decode by themselves, which is quicker; "
        "scenes: some of every scene; or the name of a plugin's.",
    )
    timestamps: tuple[float, ...] | None = Field(
        default=None, description="Seconds from the video's start: the frames shown then, and no others."
    )
    start: float | None = Field(default=None, description="Seconds: nothing before this moment is looked at.")
    end: float | None = Field(default=None, description="Seconds: nothing from this moment on is looked at.")
    fit: Literal["error", "reduce"] = Field(
        default="error",
        description="When the frames don't fit into the model's context, error refuses the question and says how many "
        "would; reduce looks at so many, with a warning.",
    )


def _writable(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    return None if response_format is None else json_schema(response_format)


VisualTokens: TypeAlias = Literal["all", "pooled", "changed"]
"""How much of each frame a model reads; see `GenerationOptions`."""


class GenerationOptions(BaseModel):
    """How the answer is generated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_new_tokens: int = Field(default=100, description="Most tokens that the answer may have; 1 or more.")
    max_seconds: float | None = Field(
        default=None, description="Seconds after which generating ends with what there is; above 0."
    )
    choices: tuple[str, ...] = Field(
        default=(),
        description="The answer is the likeliest of these, and nothing is generated; two or more, all different.",
    )
    response_format: Annotated[
        SkipValidation[Any],
        PlainSerializer(_writable, when_used="json"),
        WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "null"}]}),
    ] = Field(default=None, description="A JSON schema: the answer is JSON that fits it, and nothing else.")
    logprobs: bool = Field(default=False, description="Whether to tell how likely each generated token was.")
    top_logprobs: int | None = Field(
        default=None, description="With logprobs, how many of the likeliest tokens to tell at each place; 0 to 20."
    )
    stop: tuple[str, ...] = Field(
        default=(), description="The answer ends before the first of these; none of them is empty."
    )
    temperature: float = Field(default=0.0, description="0 always takes the likeliest token; above 0 tokens are drawn.")
    top_p: float | None = Field(
        default=None,
        description="Tokens are drawn from the likeliest that together have this probability; above 0, up to 1.",
    )
    top_k: int | None = Field(default=None, description="Tokens are drawn from so many of the likeliest; 1 or more.")
    seed: int | None = Field(default=None, description="The same seed draws the same tokens on the same machine.")
    repetition_penalty: float | None = Field(
        default=None,
        description="Above 1, tokens that were there already become less likely; above 0. By default the checkpoint's.",
    )
    visual_tokens: VisualTokens = Field(
        default="all",
        description="all: the model reads every frame whole; pooled: each two by two of its tokens as their mean; "
        "changed: of further frames of a video, the patches alone that have changed since they were last read.",
    )


_Reference = Annotated[SkipValidation[Any], WithJsonSchema({"type": "string", "description": _REFERENCE})]


class Example(BaseModel):
    """A question with the right answer, shown to the model before the question that it is to answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    question: str = Field(description="May hold one <video> or <image> marker for each video or image.")
    answer: str = Field(description="What the model should have said.")
    videos: tuple[_Reference, ...] = Field(default=(), description="The videos that it is about, in order.")
    images: tuple[_Reference, ...] = Field(default=(), description="The images that it is about, in order.")

    @field_validator("videos", "images", mode="before")
    @classmethod
    def _refuse_a_single_one(cls, given: object, field: ValidationInfo) -> object:
        return _several(str(field.field_name), given)


class SamplingOptions(TypedDict, total=False):
    """The fields of `Sampling`, as arguments."""

    num_frames: int | None
    fps: float | None
    strategy: str
    timestamps: Sequence[float] | None
    start: float | None
    end: float | None
    fit: Literal["error", "reduce"]


class AnswerOptions(TypedDict, total=False):
    """The fields of `GenerationOptions`, as arguments."""

    max_new_tokens: int
    max_seconds: float | None
    choices: Sequence[str]
    response_format: ResponseFormat | None
    logprobs: bool
    top_logprobs: int | None
    stop: Sequence[str]
    temperature: float
    top_p: float | None
    top_k: int | None
    seed: int | None
    repetition_penalty: float | None
    visual_tokens: VisualTokens


class TurnOptions(SamplingOptions, AnswerOptions, total=False):
    """All that a question within a conversation may be asked with."""


class ConversationOptions(SamplingOptions, total=False):
    """All that a conversation may be begun with."""

    system: str | None
    examples: Sequence[Example]


class AskOptions(ConversationOptions, TurnOptions, total=False):
    """All that a question may be asked with."""


class VideoQuestion(BaseModel):
    """A question about videos and images.

    `<video>` and `<image>` in the question say where each goes, in order; with no marker, the videos
    come first, then the images, then the question.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    question: str = Field(description="What to ask. May hold one <video> or <image> marker for each video or image.")
    videos: tuple[_Reference, ...] = Field(default=(), description="The videos, in order.")
    images: tuple[_Reference, ...] = Field(default=(), description="The images, in order.")
    system: str | None = Field(default=None, description="What the model is told before anything else.")
    examples: tuple[Example, ...] = Field(
        default=(), description="Questions with their answers, shown to the model before the question."
    )
    sampling: Sampling = Sampling()
    generation: GenerationOptions = GenerationOptions()

    @classmethod
    def of(cls, question: str, videos: Sequence[VideoInput], images: Sequence[ImageInput], options: AskOptions) -> Self:
        """The question with what it is asked with, given as arguments.

        Raises:
            QuestionError: something is of a wrong type.
            TypeError: there is no such option.
        """
        known = {*Sampling.model_fields, *GenerationOptions.model_fields, "system", "examples"}
        unknown = sorted(options.keys() - known)
        if unknown:
            raise TypeError(f"there is no option {unknown[0]!r}: there are {', '.join(sorted(known))}")
        with refuse_wrong_types():
            return cls(
                question=question,
                videos=_several("videos", videos),
                images=_several("images", images),
                system=options.get("system"),
                examples=tuple(options.get("examples", ())),
                sampling=Sampling.model_validate(_fields_of(Sampling, options)),
                generation=GenerationOptions.model_validate(_fields_of(GenerationOptions, options)),
            )


def _fields_of(model: type[BaseModel], options: AskOptions) -> dict[str, object]:
    return {name: value for name, value in options.items() if name in model.model_fields}


def _several(name: str, given: object) -> tuple[object, ...]:
    """Catches the likeliest slip: one video where a list of them is asked for."""
    single = isinstance(given, str | bytes) or hasattr(given, "read") or hasattr(given, "__array_interface__")
    if single or not isinstance(given, Iterable):
        raise QuestionError(f"{name} is a single {type(given).__name__}", hint=f"Give a list: {name}=[…].")
    return tuple(given)


@contextmanager
def refuse_wrong_types() -> Generator[None]:
    """Turns pydantic's report on the first argument of a wrong type into one line.

    Raises:
        QuestionError: the block raised a `ValidationError`.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][-1]) if first["loc"] else "the question"
        raise QuestionError(
            f"{name} is {first['input']!r}: {first['msg']}", hint="Give it as VideoQA.ask describes it."
        ) from error
