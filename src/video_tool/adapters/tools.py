"""The tools, defined once: every schema, every surface and every description comes from here.

Descriptions are for models that have never seen the tool, small ones among them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from video_tool.adapters.results import FramesResult, ProbeResult
from video_tool.answer import Record, VideoAnswer

_REFERENCE = "a URL (https://…) of a video file or of its page, or the path of a file that the user named"
_START = "Seconds from the video's beginning. Nothing before this moment is looked at. Example: 90"
_END = "Seconds from the video's beginning. Nothing from this moment on is looked at. Example: 120"


class ToolArguments(BaseModel):
    """Base of all arguments: unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VideoQAArguments(ToolArguments):
    """What `video_qa` is called with."""

    question: str = Field(
        description="What you want to know, as a full question in plain words. With several videos, <video> in it says "
        'where each belongs. Example: "What does the person do after opening the door?"'
    )
    videos: tuple[str, ...] = Field(
        default=(),
        description=f'The videos to look at, in order, each {_REFERENCE}. Example: ["https://example.org/door.mp4"]',
    )
    images: tuple[str, ...] = Field(
        default=(),
        description="Pictures to look at besides, each the URL or path of an image file; <image> in the question says "
        "where each belongs.",
    )
    start: float | None = Field(default=None, description=_START)
    end: float | None = Field(default=None, description=_END)
    num_frames: int | None = Field(
        default=None,
        description="How many frames of each video are looked at, evenly spread from start to end; 1 or more. Ask for "
        "more when something short may be missed, or narrow the range with start and end. Leave it out for the usual "
        "number.",
    )
    max_new_tokens: int | None = Field(
        default=None, description="How long the answer may become, in tokens; 1 or more. Leave it out for 100."
    )


class VideoProbeArguments(ToolArguments):
    """What `video_probe` is called with."""

    video: str = Field(description=f"The video: {_REFERENCE}.")


class VideoFramesArguments(ToolArguments):
    """What `video_frames` is called with."""

    video: str = Field(description=f"The video: {_REFERENCE}.")
    timestamps: tuple[float, ...] | None = Field(
        default=None,
        description="Seconds: the frames shown at these moments, and no others. Example: [3.5, 12]",
    )
    start: float | None = Field(default=None, description=_START)
    end: float | None = Field(default=None, description=_END)
    num_frames: int | None = Field(
        default=None,
        description="How many frames, evenly spread from start to end; 1 or more. Each costs you as much as an image. "
        "Leave it out for the usual number.",
    )


@dataclass(frozen=True)
class Tool:
    """One tool, as it is shown to models.

    Attributes:
        name: by which it is called.
        title: for people.
        description: what it is for, what comes back, what it can't do.
        arguments: what it takes.
        result: what a call that went well has as `ToolResult.content`.
    """

    name: str
    title: str
    description: str
    arguments: type[ToolArguments]
    result: type[Record]


VIDEO_QA = Tool(
    "video_qa",
    "Ask about videos",
    "Answers a question about one or more videos or images by looking at some of their frames. Use it for everything "
    "that has to be seen: what happens, who or what is there, what it looks like, how two videos differ. Returns the "
    "answer in words, the moments (in seconds) that it rests on, and warnings. It sees pictures only, no sound and no "
    "subtitles; it does not remember earlier calls; it can miss what happens between the frames. Example: "
    '{"question": "What colour is the car?", "videos": ["https://example.org/street.mp4"]}',
    VideoQAArguments,
    VideoAnswer,
)

VIDEO_PROBE = Tool(
    "video_probe",
    "Describe a video file",
    "Tells how long a video is, its size in pixels, its frames per second, and what a question about it would cost. "
    "Does not look at the pictures: use video_qa to learn what the video shows. Use it first when a video may be very "
    "long, to choose start and end.",
    VideoProbeArguments,
    ProbeResult,
)

VIDEO_FRAMES = Tool(
    "video_frames",
    "Show frames of a video",
    "Returns frames of a video as images, each with its moment in seconds, for you to look at yourself. Use it only if "
    "you can see images, and when the words of video_qa are not enough.",
    VideoFramesArguments,
    FramesResult,
)

TOOLS = {tool.name: tool for tool in (VIDEO_QA, VIDEO_PROBE, VIDEO_FRAMES)}
"""All tools by name, the main one first."""
