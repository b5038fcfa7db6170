"""What is known of a video without looking at its frames, and what the limits say to it."""

from __future__ import annotations

from pydantic import Field

from video_tool.answer import Record, VideoInfo


class StreamInfo(Record):
    """One stream of a file, as FFmpeg describes it; what it does not know is None."""

    index: int = Field(description="Its number in the file.")
    kind: str = Field(description="video, audio, subtitle, data or attachment.")
    read: bool = Field(description="Whether it is the one whose frames are read.")
    codec: str | None = Field(default=None, description="The codec's name; None where there is no decoder for it.")
    profile: str | None = Field(default=None, description="The codec's profile, such as High or Main 10.")
    bit_rate: int | None = Field(default=None, description="Bits per second, as the file says.")
    language: str | None = Field(default=None, description="As the file says, such as eng.")
    width: int | None = Field(default=None, description="Pixels, as stored: before rotation.")
    height: int | None = Field(default=None, description="Pixels, as stored.")
    rotation: float | None = Field(
        default=None, description="Degrees by which frames are turned counterclockwise to be shown; of the one read."
    )
    pixel_format: str | None = Field(default=None, description="As FFmpeg names it, such as yuv420p.")
    pixel_aspect: str | None = Field(default=None, description="Width to height of a pixel, such as 1:1.")
    fps: float | None = Field(default=None, description="Frames per second, on average, as the file says.")
    transfer: str | None = Field(
        default=None, description="The colour transfer, such as bt709; smpte2084 and arib_std_b67 are HDR."
    )
    sample_rate: int | None = Field(default=None, description="Samples of sound per second.")
    channels: int | None = Field(default=None, description="Channels of sound.")


class Ceiling(Record):
    """One limit, and what it is held against."""

    setting: str = Field(description="The setting that says it: max_pixels, max_video_frames or max_video_seconds.")
    value: float | None = Field(description="The video's, in pixels, frames or seconds; None when not known.")
    ceiling: float = Field(description="The most that is allowed.")
    exceeded: bool = Field(description="Whether the video is above it.")


class Refusal(Record):
    """Why a question about the video would be refused."""

    message: str = Field(description="What is wrong.")
    hint: str = Field(description="What to do.")


class VideoReport(Record):
    """What is known of a video, and whether it would be looked at."""

    name: str = Field(description="Its file name, or what it was called by.")
    container: str = Field(default="", description="As FFmpeg names it; empty for frames handed in.")
    size_bytes: int | None = Field(default=None, description="The file's size; None for frames handed in.")
    bit_rate: float | None = Field(
        default=None, description="Bits per second of the whole file; None where no duration is known."
    )
    streams: tuple[StreamInfo, ...] = Field(
        default=(), description="All streams; empty where FFmpeg does not read the container."
    )
    video: VideoInfo | None = Field(default=None, description="What the frames' reader found; None when refused.")
    keyframes: int | None = Field(
        default=None, description="Frames that decode without others; None where they are not known."
    )
    ceilings: tuple[Ceiling, ...] = Field(default=(), description="The limits, and how the video keeps to them.")
    warnings: tuple[str, ...] = Field(default=(), description="What the user should know.")
    refusal: Refusal | None = Field(default=None, description="Why it would be refused; None when it would be read.")
