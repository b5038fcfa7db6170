"""A video without its frames: what it is, and whether a question about it would be answered."""

from __future__ import annotations

from video_tool.errors import VideoTooLargeError
from video_tool.frames.decoding import Decoded
from video_tool.frames.header import Header
from video_tool.frames.opened import OpenVideo
from video_tool.frames.reading import FetchedVideo, fetch_video, full_size, video_info
from video_tool.frames.report import Ceiling, Refusal, VideoReport
from video_tool.frames.sequences import take_frames
from video_tool.progress import OnProgress, ignore_progress
from video_tool.question import FrameSequence, Sampling, VideoInput
from video_tool.settings import Settings


def probe_video(video: VideoInput, settings: Settings, on_progress: OnProgress = ignore_progress) -> VideoReport:
    """What is known of a video without looking at its frames; one that is above a ceiling is described, too.

    Args:
        video: what to describe.
        settings: the ceilings.
        on_progress: told about the download.

    Raises:
        SourceError: the video can't be had.
        NoVideoError: it holds no video.
        DecodeTimeoutError: reading took longer than `settings.decode_timeout` seconds.
        DecodeError: no reader reads it.
    """
    with fetch_video(video, settings, on_progress) as fetched:
        return probe_fetched(fetched)


def probe_fetched(video: FetchedVideo) -> VideoReport:
    """The same for one that has been fetched. Raises as `probe_video` does, short of a `SourceError`."""
    settings, source = video.settings, video.source
    if isinstance(source, FrameSequence):
        info = take_frames(source, Sampling(), settings).info
        return VideoReport(name=info.name, video=info, keyframes=info.total_frames)
    file = source.file
    header, streams = source.streams()
    keyframes: list[int] = []

    def choose(opened: OpenVideo) -> tuple[int, ...]:
        keyframes[:] = opened.keyframes()
        return ()

    try:
        decoded, refusal = source.decode(choose, full_size), None
    except VideoTooLargeError as error:
        decoded, refusal = None, Refusal(message=error.message, hint=error.hint)
    size = file.path.stat().st_size
    duration = decoded.metadata.duration if decoded else header.duration
    return VideoReport(
        name=file.name,
        container=source.container,
        size_bytes=size,
        bit_rate=8 * size / duration if duration else None,
        streams=tuple(streams),
        video=video_info(file, decoded) if decoded else None,
        keyframes=len(keyframes) or None,
        ceilings=_ceilings(header, decoded, settings),
        warnings=(*file.warnings, *(decoded.warnings if decoded else ())),
        refusal=refusal,
    )


def _ceilings(header: Header, decoded: Decoded | None, settings: Settings) -> tuple[Ceiling, ...]:
    """The limits, each against what the frames' reader found, or else against what the file says."""
    if decoded:
        read = decoded.metadata
        found = (read.width * read.height, len(read.timestamps), read.duration)
    else:
        found = (header.width * header.height, header.frames, header.duration)
    limits = {
        "max_pixels": settings.max_pixels,
        "max_video_frames": settings.max_video_frames,
        "max_video_seconds": settings.max_video_seconds,
    }
    return tuple(
        Ceiling(setting=setting, value=value or None, ceiling=limit, exceeded=value > limit)
        for (setting, limit), value in zip(limits.items(), found, strict=True)
    )
