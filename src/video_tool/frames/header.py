"""What a video file says of itself: what is missing is seen by comparing it with what was read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from video_tool.frames.reader import VideoMetadata

_MISSING_SECONDS = 0.5
"""Files are often wrong by less."""


@dataclass(frozen=True)
class Header:
    """What the file says, none of it certain.

    Attributes:
        codec: the codec's name, or empty.
        frames: how many it should hold; 0 where it does not say.
        duration: seconds that its video should last; 0 where it does not say.
    """

    codec: str = ""
    frames: int = 0
    duration: float = 0.0


def read_header(path: Path) -> Header:
    """The header of a video file; an empty one when FFmpeg makes nothing of it."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            if stream is None:
                return Header()
            codec, frames, seconds = stream.codec_context.codec.canonical_name, stream.frames, 0.0
            if frames and stream.duration and stream.time_base:
                seconds = float(stream.duration * stream.time_base)
            elif "matroska" in container.format.name and len(container.streams) == 1 and container.duration:
                seconds = container.duration / av.time_base  # of the whole file: with sound that may be longer
            return Header(codec, frames, seconds)  # what other formats say, FFmpeg has guessed
    except (FFmpegError, ValueError):
        return Header()


def shortcomings(name: str, read: VideoMetadata, declared: Header) -> list[str]:
    """What the user should know of a video that could not be read as its file promises."""
    found: list[str] = []
    # fewer frames in full time, or all frames in less of it: an edit list, or a wrong header
    fewer = not declared.frames or len(read.timestamps) < declared.frames
    if fewer and declared.duration - read.duration > _MISSING_SECONDS:
        lasting = f"{read.duration:.2f} s of the {declared.duration:.2f} s that it should last"
        found.append(f"{name} is cut off or damaged: {lasting} can be read.")
    if read.damaged:
        frames = "1 frame is" if read.damaged == 1 else f"{read.damaged} frames are"
        found.append(f"{name} is damaged: {frames} missing or marred.")
    return found
