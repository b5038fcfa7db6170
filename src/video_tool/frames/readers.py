"""The readers there are: other people's first, for whoever installs one wants it used, then ours."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from video_tool.frames.decord import DecordReader
from video_tool.frames.pillow import PillowReader
from video_tool.frames.pyav import PyAVReader
from video_tool.frames.reader import VideoFile, VideoReader
from video_tool.frames.seeking import SeekingReader

GROUP = "video_tool.readers"
"""The group of entry points in which a package names its `VideoReader`s."""


@cache
def every_reader() -> dict[str, type[VideoReader]]:
    """By name, in the order in which they are tried."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    ours: list[type[VideoReader]] = [DecordReader, SeekingReader, PyAVReader, PillowReader]
    return {reader.name: reader for reader in (*(entry.load() for entry in found), *ours)}


def readers_for(file: VideoFile) -> list[str]:
    """The names of those to try on a file, in order."""
    return [name for name, reader in every_reader().items() if reader.reads(file)]
