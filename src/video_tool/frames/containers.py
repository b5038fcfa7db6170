"""Which container a file is, told by its first bytes alone: what is none of these is not handed to a decoder.

FFmpeg also opens playlists and scripts (HLS, DASH, SDP, concat, …), which make it read other files and addresses.
Those are text, so none of them is in the table below, and a name or extension counts for nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from video_tool.errors import NoVideoError

FIRST_BYTES = 1 << 16
"""How much of a file is looked at."""

_SIGNATURES: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (container, re.compile(pattern, re.DOTALL))
    for container, pattern in (
        # ISO/IEC 14496-12, less the brands of still images; QuickTime files may lack the ftyp box
        ("mov", rb".{4}(ftyp(?!avif|heic|heix|mif1)|styp|moov|mdat|moof|wide|free|skip|pnot)"),
        ("matroska", rb"\x1aE\xdf\xa3"),  # RFC 8794, section 11.2.1: the EBML header
        ("avi", rb"RIFF.{4}AVI[ X\x19]"),
        ("mpegts", rb"(G.{187}){2}G|.{4}(G.{191}){2}G"),  # ISO/IEC 13818-1: a packet is 188 bytes; 192 on Blu-ray
        ("mpeg", rb"\0\0\x01\xba"),  # ISO/IEC 13818-1: the pack header of a program stream
        ("flv", rb"FLV\x01"),
        ("ogg", rb"OggS\0"),  # RFC 3533
        ("asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
        ("mxf", rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01"),  # SMPTE ST 377-1: a partition's key
        ("nut", rb"nut/multimedia container\0"),
        ("ivf", rb"DKIF\0\0"),
        ("yuv4mpegpipe", rb"YUV4MPEG2 "),
        ("gif", rb"GIF8[79]a"),
        ("apng", rb"\x89PNG\r\n\x1a\n(?:(?!IDAT).)*acTL"),
        ("webp", rb"RIFF.{4}WEBPVP8X.*ANIM"),
    )
)
"""FFmpeg's short names of the demuxers, but for `webp`, which Pillow reads."""

_IMAGE = re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|BM|II\*\0|MM\0\*|RIFF.{4}WEBP|.{4}ftyp|.{4}jP  ", re.DOTALL)
_SOUND = re.compile(rb"ID3|fLaC|RIFF.{4}WAVE|RF64.{4}WAVE|FORM.{4}AIF[FC]|\xff[\xe2-\xff]|#!AMR", re.DOTALL)
_SCRIPT = re.compile(
    rb"""
    [\s\xef\xbb\xbf]* (
        \#EXTM3U | ffconcat | \[playlist\] | \[reference\] | v=0\s | <(\?xml|MPD|smil|asx|SmoothStreamingMedia)
        | [a-z][a-z0-9+.-]*: \S+ \s*$
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)


def container_of(path: Path, name: str) -> str:
    """FFmpeg's short name of the container that a file is; empty when it is none that we know.

    Args:
        path: the file.
        name: how errors call it.

    Raises:
        NoVideoError: it is empty, an image, sound, or a playlist or script.
    """
    with path.open("rb") as file:
        first = file.read(FIRST_BYTES)
    if not first:
        raise NoVideoError(f"{name} is empty", hint="Give a file that holds a video.")
    for container, signature in _SIGNATURES:
        if signature.match(first):
            return container
    if _IMAGE.match(first):
        raise NoVideoError(f"{name} is an image, not a video", hint="Images go into images=[…], or --image.")
    if _SOUND.match(first):
        raise NoVideoError(f"{name} holds sound and no video", hint="Give a file that holds a video.")
    if _SCRIPT.match(first):
        raise NoVideoError(
            f"{name} is a playlist or script, not a video",
            hint="What it names is never read: give the video file itself, or the address of its page.",
        )
    return ""
