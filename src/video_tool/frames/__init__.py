"""Sampling and decoding: from a video to the frames that a question looks at."""

from video_tool.frames.images import read_image
from video_tool.frames.media import Media
from video_tool.frames.reading import Frames, probe_video, read_video

__all__ = ["Frames", "Media", "probe_video", "read_image", "read_video"]
