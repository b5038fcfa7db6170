"""Sampling and decoding: from a video to the frames that a question looks at.

Names are imported when they are first used: the process that decodes needs few of them, and has to start quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from video_tool.frames.cache import FrameSize
    from video_tool.frames.images import read_image
    from video_tool.frames.media import FetchedMedia, Media, fetch_media
    from video_tool.frames.pool import start_decoder
    from video_tool.frames.probing import probe_fetched, probe_video
    from video_tool.frames.reading import fetch_video, read_video
    from video_tool.frames.sampled import Frames
    from video_tool.frames.sampling import check_sampling

_HOMES = {
    "FetchedMedia": "media",
    "FrameSize": "cache",
    "Frames": "sampled",
    "Media": "media",
    "check_sampling": "sampling",
    "fetch_media": "media",
    "fetch_video": "reading",
    "probe_fetched": "probing",
    "probe_video": "probing",
    "read_image": "images",
    "read_video": "reading",
    "start_decoder": "pool",
}

__all__ = [
    "FetchedMedia",
    "FrameSize",
    "Frames",
    "Media",
    "check_sampling",
    "fetch_media",
    "fetch_video",
    "probe_fetched",
    "probe_video",
    "read_image",
    "read_video",
    "start_decoder",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"video_tool.frames.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
