"""Limits and defaults, each of which an environment variable `VIDEO_TOOL_<NAME>` can set."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, PlainSerializer, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_MODEL = "llava-hf/llava-interleave-qwen-0.5b-hf"
"""For research only: its licence does not allow commercial use."""


def _split_at(separator: str) -> BeforeValidator:
    def split(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part for part in map(str.strip, value.split(separator)) if part)

    return BeforeValidator(split)


def _default_roots() -> tuple[Path, ...]:
    temp = Path(tempfile.gettempdir())
    try:
        return Path.cwd(), temp
    except FileNotFoundError:  # the working directory has been removed
        return (temp,)


# NoDecode: a variable holds them as people write lists, not as JSON.
Names = Annotated[tuple[str, ...], NoDecode, _split_at(",")]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute()), PlainSerializer(str)]
Folders = Annotated[tuple[Folder, ...], NoDecode, _split_at(os.pathsep)]


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("video-tool", appauthor=False)


class Settings(BaseSettings):
    """What the engine may use up and reach, and what it does unless told otherwise."""

    model_config = SettingsConfigDict(env_prefix="VIDEO_TOOL_", frozen=True, extra="forbid")

    model: str = Field(
        default=DEFAULT_MODEL,
        description="Model asked when none is named; `builtin` is the one in the package, "
        "`openai:NAME` one on a server, and others of this form are for plugins.",
    )
    base_url: str | None = Field(
        default=None,
        description="Where the API of the server begins that runs `openai:NAME` models, such as "
        "http://127.0.0.1:8000/v1; by default what OPENAI_BASE_URL says.",
    )
    unload_after: PositiveFloat | None = Field(
        default=None,
        description="Seconds after which an unused model is unloaded, until the next question; by default never.",
    )
    prefix_cache_bytes: NonNegativeInt | None = Field(
        default=None,
        description="Most bytes of the model's device that are kept so that further questions about the same videos "
        "begin where the last one did; by default a quarter of what is free, with 0 none.",
    )
    feature_cache_bytes: NonNegativeInt | None = Field(
        default=None,
        description="Most bytes of the model's device that are kept so that its vision tower does not look again at "
        "frames that were shown before, in whatever order; by default a sixteenth of what is free, with 0 none.",
    )
    num_frames: PositiveInt = Field(default=8, description="Frames a video, unless the question says otherwise.")
    max_frames: PositiveInt = Field(default=256, description="Most frames a video that one question may look at.")
    max_download_bytes: PositiveInt = Field(default=1 << 30, description="Most bytes fetched for one video or image.")
    download_timeout: PositiveFloat = Field(default=600.0, description="Seconds that one download may take.")
    cache_dir: Path = Field(
        default_factory=_user_cache,
        description="Folder that downloads are kept in; by default where the system has users' caches.",
    )
    cache_max_bytes: NonNegativeInt = Field(
        default=5 << 30, description="Most bytes of all downloads that are kept; with 0 none are."
    )
    max_height: PositiveInt = Field(default=720, description="Pixels: sites are asked for no higher video than this.")
    allowed_hosts: Names = Field(
        default=(),
        description="Hosts, by name or address as URLs write them, that are fetched from though they are not public; "
        "joined by commas.",
    )
    allow_private_networks: bool = Field(
        default=False,
        description="Fetch from addresses that are not public, too, short of the metadata services of clouds.",
    )
    allowed_domains: Names | None = Field(
        default=None,
        description="When set, nothing is fetched but from these domains and what is below them; joined by commas.",
    )
    allowed_roots: Folders = Field(
        default_factory=_default_roots,
        description="Folders whose files may be read, with all below them; by default the working directory and the "
        f"temp folder, as they are when the settings are made; joined by '{os.pathsep}'.",
    )
    cookies_file: Folder | None = Field(
        default=None,
        description="A file of cookies in Netscape's format, as browsers export it, for sites that want a sign-in.",
    )
    decode_timeout: PositiveFloat = Field(
        default=120.0, description="Seconds that reading the frames of one video may take."
    )
    decode_memory: PositiveInt = Field(
        default=4 << 30,
        description="Bytes that decoding one video may take, and that the frames of one video may be.",
    )
    frame_cache_bytes: NonNegativeInt = Field(
        default=256 << 20,
        description="Most bytes of decoded frames that are kept in memory for further questions about the same videos; "
        "with 0 none are.",
    )
    max_pixels: PositiveInt = Field(
        default=1 << 25, description="Most pixels (width times height) of a video's frame; the default allows 8K."
    )
    max_video_frames: PositiveInt = Field(default=500_000, description="Most frames that a whole video may have.")
    max_video_seconds: PositiveFloat = Field(default=6 * 3600.0, description="Seconds that a whole video may last.")
    plugins: Names | None = Field(
        default=None,
        description="Packages whose plugins are loaded, by name, joined by commas; by default all, when empty none.",
    )
    max_calls: PositiveInt = Field(
        default=2,
        description="Calls of tools that are worked on at once; the model answers those together that wait for it.",
    )
    max_waiting_calls: NonNegativeInt = Field(
        default=16, description="Calls of tools that wait for that; further ones are told to come back later."
    )
    call_timeout: PositiveFloat = Field(
        default=600.0, description="Seconds that one call of a tool may take, waiting and loading the model included."
    )
    mark_untrusted: bool = Field(
        default=True,
        description="Whether what a tool read out of videos is marked, for the model that called it, as content that "
        "gives no instructions.",
    )
