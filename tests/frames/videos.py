"""Videos whose every frame carries its own number in its pixels, so that a lost or swapped frame is seen."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 32
MILLISECOND = Fraction(1, 1000)
_RATED = ("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v3")
"""Codecs that have a rate, not times."""


def numbered(count: int) -> NDArray[np.uint8]:
    """Frames with their number as eight black and white blocks, which survive compression."""
    numbers = np.arange(count)
    bits = (numbers[:, None] >> np.arange(8)) & 1
    blocks = bits.reshape(count, 2, 4) * 255
    frames = blocks.repeat(HEIGHT // 2, axis=1).repeat(WIDTH // 4, axis=2)
    return np.repeat(frames[..., None], 3, axis=3).astype(np.uint8)


def numbers_in(images: NDArray[np.uint8]) -> list[int]:
    """The numbers that `numbered` drew."""
    count, height, width, _ = images.shape
    means = images.reshape(count, 2, height // 2, 4, width // 4, 3).mean(axis=(2, 4, 5)).reshape(count, 8)
    return [int(number) for number in (means > 127) @ (1 << np.arange(8))]


def even_times(count: int, fps: float = 25) -> list[int]:
    """Milliseconds of frames at a constant rate."""
    return [round(1000 * i / fps) for i in range(count)]


def write_frames(
    path: Path,
    frames: NDArray[np.uint8],
    *,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    rotation: int = 0,
    container: str | None = None,
) -> Path:
    """Writes a video; its frames are shown at `times` (milliseconds), by default 25 a second.

    The container is what the file's name says, unless it is named.
    """
    with av.open(str(path), "w", format=container, options=muxing or {}) as opened:
        stream: Any = opened.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        if codec not in _RATED:
            stream.codec_context.time_base = MILLISECOND
        if rotation:
            stream.set_display_rotation(rotation)
        for number, (pixels, time) in enumerate(zip(frames, times or even_times(len(frames)), strict=True)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            if codec in _RATED:
                frame.pts, frame.time_base = number, Fraction(1, 25)
            else:
                frame.pts, frame.time_base = time, MILLISECOND
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode())
    return path


def write_sound(path: Path, codec: str = "aac") -> Path:
    """Writes a second of silence: a file without a video."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=16000, layout="mono")
        for number in range(16):
            samples = np.zeros((1, 1024), np.float32 if codec == "aac" else np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp" if codec == "aac" else "s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
