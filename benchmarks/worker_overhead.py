"""What reading through a decoding process costs over calling decord directly.

Both sample the same frames of the same file, in turns, so that the machine's load falls on both; the medians count.
The aim is at most a tenth and 20 ms more. Videos are drawn here; those in the folder that VIDEO_TOOL_CORPUS names, if
it is set, are read as well.

    python benchmarks/worker_overhead.py [runs]
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from video_tool.builtin.clips import write_video
from video_tool.frames import read_video
from video_tool.question import Sampling
from video_tool.settings import Settings

FRAMES = 8
SHARE, SECONDS = 1.10, 0.020
"""The aim: at most this many times what decord takes, and this many seconds more."""


def directly(path: Path) -> np.ndarray:
    """As a user of decord would."""
    import decord

    video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    return video.get_batch([i * len(video) // FRAMES for i in range(FRAMES)]).asnumpy()


def through_worker(path: Path) -> np.ndarray:
    """As this project does."""
    return read_video(path, Sampling(num_frames=FRAMES), Settings()).images


def drawn(folder: Path) -> list[Path]:
    """Noise drifting over 10 seconds, in two sizes and codecs."""
    made = []
    for name, codec, width, height in (
        ("360p.mp4", "libx264", 640, 360),
        ("360p.webm", "libvpx-vp9", 640, 360),
        ("1080p.mp4", "libx264", 1920, 1080),
    ):
        noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        picture = noise.repeat(8, axis=0).repeat(8, axis=1)
        frames = np.stack([np.roll(picture, 4 * number, axis=1) for number in range(100)])
        write_video(folder / name, frames, fps=10, codec=codec)
        made.append(folder / name)
    return made


def seconds(read: Callable[[Path], np.ndarray], path: Path) -> float:
    """How long one reading takes."""
    began = time.perf_counter()
    read(path)
    return time.perf_counter() - began


def main() -> None:
    """Measures and prints a table; ends with status 1 where the aim is missed."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    table = Table("video", "decord", "worker", "more", "ratio", "kept")
    missed = False
    with tempfile.TemporaryDirectory() as scratch:
        paths = drawn(Path(scratch))
        if "VIDEO_TOOL_CORPUS" in os.environ:
            paths += sorted((Path(os.environ["VIDEO_TOOL_CORPUS"]) / "real").iterdir())
        for path in paths:
            assert np.array_equal(directly(path)[:1], through_worker(path)[:1]), path.name
            pairs = [(seconds(directly, path), seconds(through_worker, path)) for _ in range(runs)]
            plain, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
            kept = ours <= SHARE * plain + SECONDS
            missed |= not kept
            more = f"{1000 * (ours - plain):+.1f} ms"
            times = f"{1000 * plain:.1f} ms", f"{1000 * ours:.1f} ms"
            table.add_row(path.name, *times, more, f"{ours / plain:.2f}", "yes" if kept else "no")
    Console(width=100).print(table)
    sys.exit(missed)


if __name__ == "__main__":
    main()
