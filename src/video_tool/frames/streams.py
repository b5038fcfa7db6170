"""What FFmpeg finds in a file, stream by stream: for people who want to know, not for reading it."""

from __future__ import annotations

from typing import Any

from video_tool.errors import NoVideoError
from video_tool.frames.pyav import open_container
from video_tool.frames.reader import Limits, VideoFile

_UNSPECIFIED = 2
"""How a colour transfer is given that a file says nothing of (ITU-T H.273, table 3)."""


def describe_streams(file: VideoFile, limits: Limits) -> list[dict[str, Any]]:
    """The streams of a file, as the fields of `video_tool.frames.report.StreamInfo`; none where FFmpeg is not asked.

    Raises:
        NoVideoError: FFmpeg makes nothing of it.
    """
    from av.error import FFmpegError

    if file.container in ("", "webp"):
        return []
    options = {"max_pixels": str(limits.max_pixels)}
    try:
        with open_container(file, options) as container:
            best = container.streams.best("video")
            streams = [_describe(stream, read=stream is best) for stream in container.streams]
            if best is not None:
                streams[best.index]["rotation"] = next((frame.rotation for frame in container.decode(best)), None)
            return streams
    except (FFmpegError, ValueError) as error:
        raise NoVideoError(f"it is no video file: {getattr(error, 'strerror', None) or error}") from error


def _describe(stream: Any, *, read: bool) -> dict[str, Any]:
    coded = stream.codec_context
    told: dict[str, Any] = {"index": stream.index, "kind": stream.type, "read": read}
    language = stream.metadata.get("language", "und")
    told["language"] = None if language == "und" else language
    if coded is None:
        return told
    told |= {"codec": coded.codec.canonical_name, "profile": coded.profile or None, "bit_rate": coded.bit_rate or None}
    if stream.type == "video":
        told |= {
            "width": coded.width or None,
            "height": coded.height or None,
            "pixel_format": coded.pix_fmt,
            "pixel_aspect": _ratio(stream.sample_aspect_ratio),
            "fps": float(stream.average_rate) if stream.average_rate else None,
            "transfer": _transfer(coded.color_trc),
        }
    elif stream.type == "audio":
        told |= {"sample_rate": coded.sample_rate, "channels": coded.channels}
    return told


def _ratio(ratio: Any) -> str | None:
    return f"{ratio.numerator}:{ratio.denominator}" if ratio else None


def _transfer(number: int) -> str | None:
    from av.video.reformatter import ColorTrc

    known = {each.value: each.name.lower() for each in ColorTrc}
    return None if number == _UNSPECIFIED else known.get(number)
