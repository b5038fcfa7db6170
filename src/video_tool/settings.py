"""Limits and defaults, each of which an environment variable `VIDEO_TOOL_<NAME>` can set."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_MODEL = "llava-hf/llava-interleave-qwen-0.5b-hf"
"""For research only: its licence does not allow commercial use."""


class Settings(BaseSettings):
    """What the engine may use up, and what it does unless told otherwise."""

    model_config = SettingsConfigDict(env_prefix="VIDEO_TOOL_", frozen=True, extra="forbid")

    model: str = Field(
        default=DEFAULT_MODEL, description="Model asked when none is named; `builtin` is the one in the package."
    )
    num_frames: PositiveInt = Field(default=8, description="Frames a video, unless the question says otherwise.")
    max_frames: PositiveInt = Field(default=256, description="Most frames a video that one question may look at.")
    max_download_bytes: PositiveInt = Field(default=1 << 30, description="Most bytes fetched for one video or image.")
    download_timeout: PositiveFloat = Field(default=600.0, description="Seconds that one download may take.")
    max_height: PositiveInt = Field(default=720, description="Pixels: sites are asked for no higher video than this.")
    decode_timeout: PositiveFloat = Field(
        default=120.0, description="Seconds that reading the frames of one video may take."
    )
    decode_memory: PositiveInt = Field(
        default=4 << 30,
        description="Bytes that decoding one video may take, and that the frames of one video may be.",
    )
    max_pixels: PositiveInt = Field(
        default=1 << 25, description="Most pixels (width times height) of a video's frame; the default allows 8K."
    )
    max_video_frames: PositiveInt = Field(default=500_000, description="Most frames that a whole video may have.")
    max_video_seconds: PositiveFloat = Field(default=6 * 3600.0, description="Seconds that a whole video may last.")
