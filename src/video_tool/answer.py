"""What the user gets: the answer and what it rests on."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

ModelKind: TypeAlias = Literal["instruct", "chat", "base"]
"""How a model wants to be asked: `chat` holds conversations; `instruct` answers single questions, as its chat template
has no place for earlier turns; `base` has no chat template and goes on with the words it is given."""

FinishReason: TypeAlias = Literal["stop", "length", "time"]
"""Why an answer ended; see `VideoAnswer`."""


class Record(BaseModel):
    """What is told to users: it does not change, and holds nothing but its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FrameStamp(Record):
    """One frame that was looked at."""

    video: int = Field(description="Which of the answer's videos, counted from 0.")
    index: int = Field(description="The frame's number in the video, counted from 0.")
    timestamp: float = Field(description="When the frame is shown, in seconds from the video's start.")


class VideoInfo(Record):
    """A video that was read."""

    name: str = Field(description="Its file name, or what it was called by.")
    width: int = Field(description="Pixels, as shown.")
    height: int = Field(description="Pixels, as shown.")
    duration: float = Field(description="Seconds.")
    fps: float = Field(description="Frames per second, on average.")
    total_frames: int = Field(description="Frames in the whole video.")
    codec: str = Field(description="The video codec's name; empty when not known.")
    reader: str = Field(
        description="What decoded it: pyav-seeking, decord, pyav, pillow, another package's reader, or given for "
        "frames handed in."
    )
    from_cache: bool = Field(default=False, description="Whether its file had been downloaded earlier.")
    frames_from_cache: bool = Field(
        default=False, description="Whether its frames had been decoded for an earlier question."
    )


class PrefixCacheUse(Record):
    """What an earlier question has spared this one: the model had read the beginning of its prompt already."""

    tokens: int = Field(description="Prompt tokens that were not computed again.")
    hits: int = Field(description="Questions so far that began as an earlier one, of all who share the model.")
    misses: int = Field(description="Questions so far that did not.")
    bytes: int = Field(description="Memory of the model's device that is kept for later questions.")
    spilled_bytes: int = Field(
        default=0, description="Main memory that is kept besides, where the model runs on a GPU that has no more room."
    )
    unused: str | None = Field(
        default=None, description="Why this question neither looked for earlier ones nor is kept for later ones."
    )


class FeatureCacheUse(Record):
    """What an earlier question has spared this one: the model's vision tower had looked at what it shows already.

    What is behind the beginning that the prefix cache knows counts alone, frame by frame; where a model's tower takes
    videos whole, each is one.
    """

    known: int = Field(description="Frames and images that the vision tower did not look at again.")
    computed: int = Field(description="Those that it looked at for this question.")
    hits: int = Field(
        description="Frames and images so far that had been looked at before, of all who share the model."
    )
    misses: int = Field(description="Frames and images so far that had not.")
    bytes: int = Field(description="Memory that is kept for later questions.")
    unused: str | None = Field(
        default=None, description="Why this question neither looked for earlier ones nor is kept for later ones."
    )


class Usage(Record):
    """Tokens spent."""

    visual_tokens: int | None = Field(
        description="Prompt tokens that stand for frames and images; null where a server does not tell them apart."
    )
    text_tokens: int | None = Field(
        description="The other prompt tokens, or all of them where visual_tokens is null; "
        "null where a server tells none."
    )
    new_tokens: int | None = Field(description="Tokens generated; null where a server does not tell.")
    unreduced_visual_tokens: int | None = Field(
        default=None,
        description="With visual_tokens, how many visual tokens there would have been without; else null.",
    )


class Timings(Record):
    """Seconds spent in each stage.

    What runs at the same time counts in full in each: several videos that are decoded, and a model that is loaded while
    a video is downloaded. So they may add up to more than the total.
    """

    fetch: float = Field(description="Getting the files.")
    decode: float = Field(description="Reading the frames.")
    load: float = Field(description="Loading the model; about 0 once it is there.")
    prompt: float = Field(description="Making the prompt and the pixel values.")
    generate: float = Field(description="Generating the answer.")
    total: float = Field(description="All of the call.")


class ModelInfo(Record):
    """The model that answered, and how it ran."""

    id: str = Field(description="As it was asked for.")
    revision: str | None = Field(description="The hub's commit, or the package's version for the built-in model.")
    device: str = Field(description="cpu, cuda:0, mps, …, or the address of the server that it runs on.")
    dtype: str | None = Field(description="float32, bfloat16 or float16; null where a server runs it.")
    attention: str | None = Field(description="eager, sdpa, flash_attention_2, …; null where a server runs it.")
    takes: Literal["images", "video"] = Field(description="How a video is handed to it: as images, or as a video.")
    kind: ModelKind = Field(
        description="chat: it holds conversations; instruct: single questions; base: it completes a text."
    )
    quantization: str | None = Field(default=None, description="How the weights were made smaller, if they were.")
    adapter: str | None = Field(default=None, description="The LoRA adapter on the model, as it was asked for.")
    adapter_revision: str | None = Field(default=None, description="The hub's commit of the adapter.")
    compiled: bool = Field(default=False, description="Whether torch.compile compiled it.")
    kv_cache: str | None = Field(
        default=None, description="How the prompt's keys and values were made smaller, if they were: 8bit."
    )
    device_map: dict[str, str] | None = Field(
        default=None, description="The device of each module, by name, where the model is spread; or disk."
    )
    remote_code: bool = Field(default=False, description="Whether code that the checkpoint brought was allowed to run.")


class ChoiceScore(Record):
    """How likely one of the given choices was."""

    text: str = Field(description="The choice.")
    log_probability: float = Field(
        description="Natural logarithm of the probability that the model says exactly this and ends."
    )
    tokens: int = Field(description="How many tokens it has, the closing one included.")


class TopLogprob(Record):
    """A token that the model could have chosen, and how likely it was."""

    token: str = Field(description="What it reads as; U+FFFD where it begins or ends amid a letter.")
    logprob: float = Field(
        description="Natural logarithm of the model's own probability: before temperature, top_p, top_k, "
        "repetition_penalty and response_format."
    )
    bytes: tuple[int, ...] | None = Field(
        description="What it adds to the text, in UTF-8; null for tokens that add none, such as the closing one."
    )


class TokenLogprob(TopLogprob):
    """A token that the model chose, and how likely it was."""

    top_logprobs: tuple[TopLogprob, ...] = Field(
        default=(),
        description="The likeliest tokens here, as many as top_logprobs asks for, in order.",
    )


class Plan(Record):
    """What a question would look at, and what it would take; nothing of it has been decoded."""

    frames: tuple[FrameStamp, ...] = Field(description="The frames, video by video; `scenes` is planned as `uniform`.")
    videos: tuple[VideoInfo, ...] = Field(description="The videos, in the order given.")
    images: int = Field(description="How many images besides.")
    prompt_tokens: int | None = Field(
        description="Tokens of the prompt, about, visual_tokens left aside; null where a server makes them, or the "
        "model is not on this machine."
    )
    context_tokens: int | None = Field(description="Tokens that prompt and answer may have; null when not known.")
    max_frames: int | None = Field(
        description="The most frames of each video that such a question can look at, about; null when not known."
    )


class VideoAnswer(Record):
    """The model's words, and the receipt for them."""

    text: str = Field(description="The model's words, and nothing of the prompt.")
    frames: tuple[FrameStamp, ...] = Field(
        description="The frames that were looked at, video by video, in prompt order."
    )
    videos: tuple[VideoInfo, ...] = Field(
        description="The videos, in the order given; before them those of examples and earlier turns."
    )
    images: int = Field(description="How many images were looked at besides.")
    choices: tuple[ChoiceScore, ...] = Field(
        default=(), description="The choices that were given, in their order, with how likely each was."
    )
    parsed: Any = Field(
        default=None,
        description="The answer as response_format has it: an instance of the pydantic model, or what the JSON holds. "
        "null without response_format, and when the JSON was cut off or refused by the model's validators; "
        "a warning says so.",
    )
    logprobs: tuple[TokenLogprob, ...] = Field(
        default=(),
        description="With logprobs, each token that was generated, the closing one included.",
    )
    usage: Usage
    prefix_cache: PrefixCacheUse | None = Field(
        default=None, description="What earlier questions have spared; null where the model does not run here."
    )
    batch: int = Field(default=1, description="How many questions the model answered together, this one included.")
    feature_cache: FeatureCacheUse | None = Field(
        default=None,
        description="What earlier questions have spared the vision tower; null where the model does not run here.",
    )
    timings: Timings
    warnings: tuple[str, ...] = Field(description="What the user should know, such as fewer frames than asked for.")
    model: ModelInfo
    finish_reason: FinishReason = Field(
        description="stop: it had said all, its JSON was whole, or it came to a stop string; "
        "length: max_new_tokens reached; time: max_seconds reached."
    )
