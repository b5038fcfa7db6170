"""Damaged videos in numbers: whatever is in a file, the process that asks goes on, and nothing is left behind.

`python -m tests.frames.fuzz 1000` tries as many, and prints what became of them.
"""

from __future__ import annotations

import collections
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from tests.frames.videos import write_frames
from tests.frames.workers import busy_workers, workers_of
from video_tool.errors import DecodeError, QuestionError
from video_tool.frames import read_video
from video_tool.frames.pool import POOL
from video_tool.question import Sampling
from video_tool.settings import Settings

FORMATS = {
    "mp4": "libx264",
    "mkv": "libx264",
    "webm": "libvpx-vp9",
    "avi": "mpeg4",
    "ts": "libx264",
    "gif": "gif",
}
DEADLINE = 10.0
"""Seconds that a file may take; most take a tenth of one."""


@dataclass
class Report:
    """What became of the files.

    Attributes:
        outcomes: how many ended in which way: frames, a warning, or which error.
        untyped: errors that are none of ours, with the number of the mutant.
        late: numbers of mutants that took more than a second above the deadline.
        left: processes that were still there in the end.
    """

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    untyped: list[str] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    left: list[psutil.Process] = field(default_factory=list)


def originals(folder: Path) -> list[bytes]:
    """A small video in each format."""
    rng = np.random.default_rng(7)
    frames = np.repeat(rng.integers(0, 256, (20, 12, 16, 3), np.uint8), 4, axis=1).repeat(4, axis=2)
    return [write_frames(folder / f"a.{name}", frames, codec=codec).read_bytes() for name, codec in FORMATS.items()]


def mutant(originals: list[bytes], seed: int) -> bytes:
    """One of the videos with bits flipped, bytes cut out or off, or pieces swapped; the same for the same seed."""
    rng = np.random.default_rng(seed)
    content = bytearray(originals[seed % len(originals)])
    for _ in range(1 + seed % 3):
        size = len(content)
        # headers and tables lie at the ends, and are where a change does most
        near = int(rng.integers(0, min(size, 1024)))
        first, second = sorted(int(n) for n in rng.integers(0, size, 2))
        match int(rng.integers(0, 5)):
            case 0:
                for place in (near, size - 1 - near, *rng.integers(0, size, 8)):
                    content[place] ^= 1 << int(rng.integers(0, 8))
            case 1:
                del content[max(first, 64) :]
            case 2:
                del content[near : near + int(rng.integers(1, 64))]
            case 3:
                length = min(second - first, size - second)
                content[first : first + length], content[second : second + length] = (
                    content[second : second + length],
                    content[first : first + length],
                )
            case _:
                _swap_atoms(content, rng)
    return bytes(content)


def _swap_atoms(content: bytearray, rng: np.random.Generator) -> None:
    """Swaps the names of two boxes of an MP4; in other formats, two groups of four bytes."""
    names = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"mdat", b"tkhd")
    places = [place for name in names if (place := content.find(name)) >= 0]
    if len(places) < 2:
        places = [int(n) for n in rng.integers(0, len(content) - 4, 2)]
    one, other = (int(n) for n in rng.choice(places, 2, replace=False))
    content[one : one + 4], content[other : other + 4] = content[other : other + 4], content[one : one + 4]


def run(count: int, folder: Path) -> Report:
    """Reads `count` mutants, those with the seeds from 0 on."""
    report = Report()
    videos = originals(folder)
    for seed in range(count):
        path = folder / "mutant.mp4"
        path.write_bytes(mutant(videos, seed))
        asked = time.monotonic()
        try:
            frames = read_video(path, Sampling(num_frames=3), Settings(decode_timeout=DEADLINE))
            report.outcomes["frames with a warning" if frames.warnings else "frames"] += 1
        except (DecodeError, QuestionError) as error:
            report.outcomes[type(error).__name__] += 1
            if not error.hint:
                report.untyped.append(f"{seed}: no hint: {error}")
        except Exception as error:  # noqa: BLE001 — what the test is about
            report.untyped.append(f"{seed}: {error!r}")
        if time.monotonic() - asked > DEADLINE + 1:
            report.late.append(seed)
        report.left += busy_workers()
    POOL.end()
    report.left += workers_of()
    return report


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        sys.stdout.write(f"{run(int(sys.argv[1]), Path(scratch))}\n{time.monotonic() - began:.0f} s\n")
