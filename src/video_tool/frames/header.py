"""What a video file says of itself: what is too large or missing is seen before and after it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from video_tool.errors import DecodeError, NoVideoError
from video_tool.frames.pyav import open_container, quick_options
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata

_MISSING_SECONDS = 0.5
"""Files are often wrong by less."""


@dataclass(frozen=True)
class Header:
    """What the file says, none of it certain.

    Attributes:
        codec: the codec's name, or empty.
        width: pixels, as stored (before rotation); 0 where it does not say.
        height: pixels, as stored.
        frames: how many it should hold; 0 where it does not say.
        duration: seconds that its video should last; 0 where it does not say.
    """

    codec: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    duration: float = 0.0


def read_header(file: VideoFile, limits: Limits) -> tuple[VideoFile, Header, Any]:
    """The file, with whether FFmpeg guesses its container right, and its header; empty where FFmpeg is not asked.

    The third is the file as PyAV has opened it for that, or None: a reader may go on with it, and somebody has to close
    it.

    Raises:
        NoVideoError: FFmpeg makes nothing of it, or finds sound or a cover picture alone.
        DecodeError: FFmpeg has no decoder for its video.
    """
    from av.error import FFmpegError

    if file.container in ("", "webp"):
        return file, Header(), None
    options = quick_options(file, limits)
    container = None
    try:
        try:
            container, guessed = open_container(file, options, guess=True), True
        except FFmpegError:
            container, guessed = open_container(file, options), False
        return replace(file, guessed=guessed), _header(container), container
    except (FFmpegError, ValueError, DecodeError) as error:
        if container is not None:
            container.close()
        if isinstance(error, DecodeError):
            raise
        raise NoVideoError(f"it is no video file: {getattr(error, 'strerror', None) or error}") from error


def _header(container: Any) -> Header:
    import av
    from av.stream import Disposition

    stream = container.streams.best("video")
    if stream is None:
        sound = "sound and " if container.streams.audio else ""
        raise NoVideoError(f"it holds {sound}no video stream")
    if stream.disposition & Disposition.attached_pic:
        raise NoVideoError("its only picture is a cover: it holds no video")
    seconds = 0.0
    if stream.frames and stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif "matroska" in container.format.name and len(container.streams) == 1 and container.duration:
        seconds = container.duration / av.time_base  # of the whole file: with sound that may be longer
    coded = stream.codec_context
    if coded is None:
        raise DecodeError("there is no decoder for its video")
    # what other formats say of their duration, FFmpeg has guessed
    return Header(coded.codec.canonical_name, coded.width, coded.height, stream.frames, seconds)


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
