"""What a call of a tool gives: words for the model that called, everything else for its host."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from video_tool.answer import FrameStamp, Record, VideoAnswer, VideoInfo


class Cost(Record):
    """What a question about a video takes of the model that would be asked."""

    num_frames: int = Field(description="Frames, when the question says nothing of them.")
    prompt_tokens: int = Field(description="Tokens that a short question with so many frames has, about.")
    context_tokens: int | None = Field(description="Tokens that question and answer may have; null when not known.")
    max_frames: int | None = Field(description="The most frames that a question can look at; null when not known.")


class ProbeResult(Record):
    """What `video_probe` finds out."""

    video: VideoInfo | None = Field(description="What is known of the video; null when it would be refused.")
    size_bytes: int | None = Field(description="The file's size.")
    cost: Cost | None = Field(description="What a question would take; null where a server runs the model.")
    refusal: str | None = Field(default=None, description="Why a question about it would be refused; null if not.")


class FramesResult(Record):
    """What `video_frames` shows; the pictures are beside it, in the same order."""

    video: VideoInfo = Field(description="The video.")
    frames: tuple[FrameStamp, ...] = Field(description="The frames, in order.")
    warnings: tuple[str, ...] = Field(description="What the user should know.")


class ToolImage(Record):
    """A picture for a model that can see."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")  # hosts keep results as JSON

    data: bytes = Field(repr=False, description="The encoded file.")
    media_type: str = Field(description="Such as image/jpeg.")
    timestamp: float = Field(description="Seconds from the video's start.")


class ToolError(Record):
    """What went wrong, without anything about the machine that it happened on."""

    code: str = Field(description="The kind of error, such as source_not_found.")
    message: str = Field(description="What happened and what to do instead, in one sentence.")
    retryable: bool = Field(description="Whether the same call may succeed later.")
    retry_after: float | None = Field(description="Seconds to wait before that; null when not known.")


class ToolResult(Record):
    """The outcome of one call.

    `text` is for the model, and `readable` what goes with it where a host shows models structured content, too. The
    rest is for programs: it holds what came out of the videos as it came.
    """

    text: str = Field(description="What the model reads: the answer, or what to do instead.")
    content: VideoAnswer | ProbeResult | FramesResult | None = Field(description="Everything; null after an error.")
    images: tuple[ToolImage, ...] = Field(default=(), description="Pictures that belong to the result.")
    error: ToolError | None = Field(default=None, description="What went wrong; null when nothing did.")
    readable: dict[str, Any] = Field(description="Content or error as JSON, marked as the text is.")
