"""Twelve frames of a two-minute video in 1080p, at the size a model takes: what that costs here, and with others.

The reference is what users of decord write: the frames in full size, then Pillow. Each contender works in a process of
its own that is warm; they take turns, so that the machine's load falls on all, and medians count. Time is also counted
as seconds of the processors, which others on the machine disturb less. Memory is the most that a process and those that
it started hold at once (proportional set size, in runs of their own: looking takes time).

    python benchmarks/decoding.py [runs] [contender …]

opencv-python-headless and torchcodec take part where they are installed, and can be imported.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from decoding_contenders import CONTENDERS, NEEDS
from decoding_videos import repeated, scene
from rich.console import Console
from rich.table import Table

REFERENCE = "decord + Pillow"
TARGETS = {"ours": (0.6, 0.35), "ours, keyframes": (0.08, None)}
"""The most of the reference's time and memory that they may take."""
_LOOK = 0.004  # seconds between two looks at memory


@dataclass
class Contender:
    """One way to read, in a process of its own, and what it took."""

    name: str
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("decoding_contenders.py")), self.name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, path: Path) -> float:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def timed(self, path: Path) -> None:
        before = self._cpu()
        self.seconds.append(self.read(path))
        self.busy.append(self._cpu() - before)

    def weighed(self, path: Path) -> None:
        over, peak = threading.Event(), 0

        def look() -> None:
            nonlocal peak
            while not over.wait(_LOOK):
                peak = max(peak, sum(_held(each) for each in self._tree()))

        watching = threading.Thread(target=look)
        watching.start()
        self.read(path)
        over.set()
        watching.join()
        self.peaks.append(peak / 1e6)

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]

    def _cpu(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._tree())


def _held(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0


def measure(names: list[str], path: Path, runs: int, done: Callable[[str], None]) -> list[Contender]:
    """All of them, in turns."""
    contenders = [Contender(name) for name in names]
    try:
        for each in contenders:
            each.read(path)
        for number in range(runs):
            for each in contenders:
                each.timed(path)
                done(f"{path.name}: run {number + 1} of {runs}, {each.name}: {each.seconds[-1]:.2f} s")
        for each in contenders:
            for _ in range(runs):
                each.weighed(path)
    finally:
        for each in contenders:
            each.end()
    return contenders


def main() -> None:
    """Measures and prints tables; ends with status 1 where an aim is missed."""
    console = Console(width=118)
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    chosen = sys.argv[2:] or list(CONTENDERS)
    names = []
    for name in chosen:
        module = NEEDS.get(name, "av")
        if subprocess.run([sys.executable, "-c", f"import {module}"], check=False, capture_output=True).returncode:
            console.print(f"{name}: left out, {module} is not installed, or can't be imported")
        else:
            names.append(name)
    missed = False
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        console.print(f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}")
        once = scene(folder / "scene.mp4")
        short, long = repeated(folder / "short.mp4", once, 3), repeated(folder / "film.mp4", once, 180)
        console.print(f"short.mp4: {short.stat().st_size / 1e6:.0f} MB, film.mp4: {long.stat().st_size / 1e6:.0f} MB")
        found = measure(names, short, runs, console.log)
        reference = next((each for each in found if each.name == REFERENCE), found[0])
        table = Table("12 of 3,600 frames", "seconds", "ratio", "CPU seconds", "ratio", "peak MB", "ratio", "kept")
        for each in found:
            cells = [each.name]
            ratios = []
            for own, others, digits in (
                (each.seconds, reference.seconds, 2),
                (each.busy, reference.busy, 2),
                (each.peaks, reference.peaks, 0),
            ):
                ratios.append(statistics.median(own) / statistics.median(others))
                cells += [f"{statistics.median(own):.{digits}f}", f"{ratios[-1]:.3f}"]
            time, memory = TARGETS.get(each.name, (None, None))
            kept = (time is None or ratios[0] <= time) and (memory is None or ratios[2] <= memory)
            missed |= not kept
            table.add_row(*cells, "" if time is None else "yes" if kept else "no")
        console.print(table)
        table = Table("ours", "seconds", "CPU seconds", "peak MB")
        for path in (short, long):
            for name in ("ours, 8 frames", "ours, 32 frames", "ours, 32 frames again"):
                (each,) = measure([name], path, runs, console.log)
                medians = (statistics.median(each.seconds), statistics.median(each.busy), statistics.median(each.peaks))
                table.add_row(f"{path.stem}: {name}", *(f"{median:.3f}" for median in medians))
        console.print(table)
    sys.exit(missed)


if __name__ == "__main__":
    main()
