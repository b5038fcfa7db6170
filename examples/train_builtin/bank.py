"""The training clips, drawn once and kept on disk: frames as the model sees them, and what they show."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from negatives import negative_frames
from numpy.typing import NDArray
from PIL import Image

from video_tool.builtin.clips import COLOURS, MOTIONS, SHAPES, random_clip, render, tracks

FRAMES = 16
"""Moments drawn of each clip; a training question sees 4 to 12 of them."""
SIDE = 96
"""Pixels: the built-in model's input."""
SHARD = 250
"""Clips a file."""
NO_SHAPE = len(SHAPES)


@dataclass
class Bank:
    """The shards, read through memory maps.

    `frames` are (clips, FRAMES, SIDE, SIDE, 3) bytes a shard; `boxes` (clips, FRAMES, 4) the shape's
    centre x, y, width and height as fractions; `visible` (clips, FRAMES).
    `shapes`, `colours` (clips,) and `motions` (clips, 2) are indices; the second motion is −1 where there is one.
    """

    frames: list[NDArray[np.uint8]]
    shapes: NDArray[np.int64]
    colours: NDArray[np.int64]
    motions: NDArray[np.int64]
    boxes: NDArray[np.float32]
    visible: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.shapes)

    def frame(self, clip: int, index: int) -> NDArray[np.uint8]:
        return self.frames[clip // SHARD][clip % SHARD, index]


def load(folder: Path, shards: int) -> Bank:
    tables = [np.load(folder / f"{n:03}.npz") for n in range(shards)]
    frames = [np.load(folder / f"{n:03}.npy", mmap_mode="r") for n in range(shards)]
    return Bank(
        frames, *(np.concatenate([t[k] for t in tables]) for k in ("shapes", "colours", "motions", "boxes", "visible"))
    )


def draw_shard(folder: Path, number: int) -> None:
    """Draws shard `number`, unless it is there already."""
    if (folder / f"{number:03}.npz").exists():
        return
    rng = np.random.default_rng([20261122, number])
    rows = [_draw_clip(rng) for _ in range(SHARD)]
    np.save(folder / f"{number:03}.npy", np.stack([row.pop("frames") for row in rows]))
    part = folder / f"{number:03}.part.npz"
    np.savez(part, **{key: np.stack([row[key] for row in rows]) for key in rows[0]})
    part.rename(folder / f"{number:03}.npz")


def _draw_clip(rng: np.random.Generator) -> dict[str, Any]:
    short = int(64 * 2 ** (rng.random() ** 2 * 1.7))
    aspect = 2 ** rng.uniform(0, 1)
    width, height = (int(short * aspect), short) if rng.random() < 0.5 else (short, int(short * aspect))
    row: dict[str, Any] = {
        "shapes": np.int64(NO_SHAPE),
        "colours": np.int64(0),
        "motions": np.array([-1, -1]),
        "boxes": np.zeros((FRAMES, 4), np.float32),
        "visible": np.zeros(FRAMES, bool),
    }
    if rng.random() < 0.1:
        frames = negative_frames(rng, FRAMES, width, height)
    else:
        times = (np.arange(FRAMES) + rng.uniform(-0.15, 0.15, FRAMES).clip(0 if rng.random() < 0.5 else -1)) / FRAMES
        times = times.clip(0, 0.999)
        while True:
            clip = random_clip(rng, width=width, height=height)
            if clip.shows_its_motions(times):
                break
        frames = render(clip, times)
        x, y, size, visible = tracks(clip, times)
        short = min(width, height)
        row["shapes"] = np.int64(SHAPES.index(clip.shape or ""))
        row["colours"] = np.int64(COLOURS.index(clip.colour))
        row["motions"] = np.array([MOTIONS.index(m) for m in (*clip.motions,)] + [-1] * (2 - len(clip.motions)))
        row["boxes"] = np.stack([x, y, size * short / width, size * short / height], -1).astype(np.float32)
        row["visible"] = visible
    frames = _through_a_codec(rng, frames)
    row["frames"] = np.stack(
        [np.asarray(Image.fromarray(f).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for f in frames]
    )
    return row


def _through_a_codec(rng: np.random.Generator, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    choice = rng.random()
    if choice < 0.25:
        return frames
    if choice < 0.45:
        return np.stack([_jpeg(f, int(rng.integers(35, 95))) for f in frames])
    if choice < 0.55:
        return np.stack(
            [np.asarray(Image.fromarray(f).quantize(int(rng.choice([32, 64, 256]))).convert("RGB")) for f in frames]
        )
    if choice < 0.65:
        return _encoded(frames, "gif", {})
    if choice < 0.9:
        return _encoded(frames, "libx264", {"crf": str(rng.integers(16, 36)), "preset": "veryfast", "threads": "1"})
    return _encoded(frames, "mpeg4", {"qscale": str(rng.integers(2, 12)), "threads": "1"})


def _jpeg(frame: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _encoded(frames: NDArray[np.uint8], codec: str, options: dict[str, str]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    even = np.ascontiguousarray(frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2])
    container_format = "gif" if codec == "gif" else "matroska"
    with av.open(buffer, "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(16), options=options)
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for frame in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        decoded = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return np.stack(decoded) if len(decoded) == len(frames) else frames
