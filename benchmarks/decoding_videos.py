"""The videos that decoding is measured on, made on the spot: what a camera sees, as encoders write it by default."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 30
"""Frames a second."""
GROUP = 250
"""Frames from one keyframe to the next at the most, as x264 has it by default."""


_TIMES = {"short": 3, "film": 180}
"""How often the scene of 40 seconds is repeated."""


def short() -> Path:
    """Two minutes."""
    return _kept("short")


def film() -> Path:
    """Two hours."""
    return _kept("film")


def _kept(name: str) -> Path:
    """Made once, by this very module, and kept in the user's cache: encoding it takes a minute."""
    code = sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "video-tool-dev" / "benchmarks" / code
    path, once = folder / f"{name}.mp4", folder / "scene.mp4"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.mp4")  # others may be making it, too
        if not once.exists():
            scene(part).replace(once)
        repeated(part, once, _TIMES[name]).replace(path)
    return path


def scene(path: Path, seconds: int = 40, width: int = 1920, height: int = 1080) -> Path:
    """A camera that pans over a textured scene in which things move, with the grain of a sensor."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": str(GROUP)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for planes in _scene(seconds * RATE, width, height):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def repeated(path: Path, once: Path, times: int) -> Path:
    """A video so many times over: its packets written again, none of them encoded anew."""
    with av.open(str(once)) as source, av.open(str(path), "w") as container:
        old = source.streams.video[0]
        new = container.add_stream_from_template(old)
        length = round(old.frames / RATE / old.time_base)
        packets = [packet for packet in source.demux(old) if packet.size]
        stamps = [(packet.pts, packet.dts) for packet in packets]
        for round_number in range(times):
            shift = round_number * length
            for packet, (shown, decoded) in zip(packets, stamps, strict=True):
                packet.pts, packet.dts = shown + shift, decoded + shift
                packet.time_base, packet.stream = Fraction(old.time_base), new
                container.mux(packet)
                packet.time_base = old.time_base
    return path


def _scene(count: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Planes of YUV 4:2:0, one frame below the other."""
    rng = np.random.default_rng(0)
    travel = 512  # pixels that the camera goes over, to and fro
    luma = _texture(rng, height + travel, width + travel)
    chroma = [_texture(rng, (height + travel) // 2, (width + travel) // 2) // 4 + 96 for _ in range(2)]
    grain = [rng.normal(0, 2, (height, width)).astype(np.int8) for _ in range(4)]
    thing = _texture(rng, height // 4, height // 4)
    for number in range(count):
        turn = 2 * np.pi * number / (30 * RATE)
        top, left = (int(travel / 2 * (1 + wave)) & ~1 for wave in (np.sin(turn), np.cos(0.7 * turn)))
        picture = luma[top : top + height, left : left + width].copy()
        for each in range(3):
            row = int((height - len(thing)) / 2 * (1 + np.sin(turn * (each + 2))))
            column = int((width - len(thing)) / 2 * (1 + np.cos(turn * (2 * each + 1))))
            picture[row : row + len(thing), column : column + len(thing)] = thing
        picture = (picture + grain[number % 4]).astype(np.uint8)
        colours = [plane[top // 2 :, left // 2 :][: height // 2, : width // 2] for plane in chroma]
        yield np.concatenate([picture.ravel(), *(colour.ravel() for colour in colours)]).reshape(-1, width)


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Light and shade in patches from large to small, between 16 and 235."""
    total = np.linspace(0, 60, width, dtype=np.float32) + np.linspace(0, 40, height, dtype=np.float32)[:, None]
    for edge, weight in ((256, 60.0), (64, 30.0), (16, 15.0), (4, 8.0)):
        patches = rng.random((height // edge + 2, width // edge + 2), np.float32) * weight
        total += np.kron(patches, np.ones((edge, edge), np.float32))[:height, :width]
    return (16 + (total - total.min()) * (219 / np.ptp(total))).astype(np.uint8)
