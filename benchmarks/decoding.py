"""Frames of a two-minute video in 1080p and of a two-hour film, at the size a model takes: what that costs, and others.

The reference is what users of decord write: the frames in full size, then Pillow. Each contender works in a process of
its own that is warm; they take turns, so that the machine's load falls on all, and pairs are compared. Seconds of the
processors are told, too, which others on the machine disturb less. Memory is the most that a process and those that it
started hold at once (proportional set size, in runs of their own: looking takes time).

    python benchmarks/decoding.py [ROW …]

opencv-python-headless and torchcodec take part where they are installed, and can be imported.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from decoding_contenders import CONTENDERS, FRAMES, NEEDS, SIDE, resize_seconds
from decoding_videos import film, short
from report import Row
from rich.console import Console

from video_tool.builtin import DEMO_VIDEO

ROWS = (
    "decode-uniform",
    "decode-uniform-memory",
    "decode-keyframes",
    "decode-more-frames",
    "decode-more-frames-memory",
    "decode-film",
    "decode-film-memory",
)
SLOW: dict[str, str] = {}

_RUNS = 5
_REFERENCE, _OURS, _KEYFRAMES = "decord + Pillow", "ours", "ours, keyframes"
_ALONE, _KEYFRAMES_ALONE = "FFmpeg alone", "FFmpeg alone, keyframes"
_FEW, _MANY, _MANY_ALONE = "ours, 8 frames", "ours, 32 frames", "FFmpeg alone, 32 frames"
_GET_BATCH = "decord's `get_batch` in full size, then Pillow"
_LEAST = "FFmpeg decodes what these frames need, and nothing else is done"
_LOOK = 0.005  # seconds between two looks at memory


@dataclass
class Contender:
    """One way to read, in a process of its own, and what it took.

    Attributes:
        name: as `CONTENDERS` has it.
        seconds: of each run.
        busy: seconds of the processors, of each run.
        peaks: MB, of each run that was looked at.
    """

    name: str
    seconds: list[float] = field(default_factory=list[float])
    busy: list[float] = field(default_factory=list[float])
    peaks: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("decoding_contenders.py")), self.name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

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
        over, peak = threading.Event(), 0.0

        def look() -> None:
            nonlocal peak
            while not over.wait(_LOOK):
                peak = max(peak, self.held())

        watching = threading.Thread(target=look)
        watching.start()
        try:
            self.read(path)
        finally:
            over.set()
            watching.join()
        self.peaks.append(peak)

    def held(self) -> float:
        """MB."""
        return sum(_held(each) for each in self._tree()) / 1e6

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


def rows(bench: Any) -> Iterator[Row]:
    """What is wanted of `ROWS`; `bench` is a `measuring.Bench`."""
    runs = bench.pairs(_RUNS)
    if bench.wanted.intersection(ROWS[:3]):
        found = _measure(_beside(bench.say), short(), runs, weighed=(_REFERENCE, _OURS), say=bench.say)
        others = tuple(
            f"{name}: {_part(each.seconds, found[_REFERENCE].seconds):.2f} of the reference's time"
            for name, each in found.items()
            if name in CONTENDERS and name not in (_REFERENCE, _OURS, _KEYFRAMES)
        )
        yield from (row for row in _of_two_minutes(found, others) if row.name in bench.wanted)
    if bench.wanted.intersection(ROWS[3:]):
        names = (_FEW, _MANY, _MANY_ALONE)
        of_short = _measure(names, short(), runs, weighed=names[:2], say=bench.say)
        of_film = _measure(names, film(), runs, weighed=names[:2], say=bench.say)
        yield from (row for row in _of_length(of_short, of_film) if row.name in bench.wanted)


def _beside(say: Callable[[str], None]) -> list[str]:
    """Those that can take part."""
    names = [*CONTENDERS, _ALONE, _KEYFRAMES_ALONE]
    for name, module in NEEDS.items():
        if subprocess.run([sys.executable, "-c", f"import {module}"], check=False, capture_output=True).returncode:
            say(f"{name}: left out, {module} is not installed, or can't be imported")
            names.remove(name)
    return names


def _measure(
    names: Sequence[str], path: Path, runs: int, *, weighed: Sequence[str], say: Callable[[str], None]
) -> dict[str, Contender]:
    """All of them, in turns."""
    with ExitStack() as stack:
        contenders = [stack.enter_context(Contender(name)) for name in names]
        for each in contenders:
            each.read(path)
        for number in range(runs):
            for each in contenders:
                each.timed(path)
                say(f"{path.name}: run {number + 1} of {runs}, {each.name}: {each.seconds[-1]:.2f} s")
        for _ in range(runs):
            for each in contenders:
                if each.name in weighed:
                    each.weighed(path)
    return {each.name: each for each in contenders}


def _of_two_minutes(found: dict[str, Contender], others: tuple[str, ...]) -> Iterator[Row]:
    reference, ours, keyframes = (found[name] for name in (_REFERENCE, _OURS, _KEYFRAMES))
    yield Row(
        "decode-uniform",
        f"{FRAMES} uniform frames of a two-minute 1080p video, to {SIDE} px",
        _GET_BATCH,
        at_most=0.6,
        **_time(ours, reference),
        **_floor(found[_ALONE]),
        parts=_parts(ours, found[_ALONE], FRAMES),
        notes=(_busy(ours, reference), *others),
    )
    yield Row(
        "decode-uniform-memory",
        "the same: the most memory at once",
        _GET_BATCH,
        at_most=0.35,
        **_memory(ours, reference),
        floor=_least_memory(),
        floor_is="the processes after a video of 256×192, one 1080p frame as it is decoded and as RGB, and the frames",
    )
    yield Row(
        "decode-keyframes",
        f"{FRAMES} keyframes of it",
        f"{_GET_BATCH}, uniform frames",
        at_most=0.08,
        **_time(keyframes, reference),
        **_floor(found[_KEYFRAMES_ALONE]),
        parts=_parts(keyframes, found[_KEYFRAMES_ALONE], FRAMES),
        notes=(_busy(keyframes, reference),),
    )


def _of_length(of_short: dict[str, Contender], of_film: dict[str, Contender]) -> Iterator[Row]:
    few, many = of_short[_FEW], of_short[_MANY]
    long = of_film[_MANY]
    yield Row(
        "decode-more-frames",
        "32 frames of the two-minute video",
        "8 frames of it",
        at_most=4.0,
        **_time(many, few),
        **_floor(of_short[_MANY_ALONE]),
        parts=_parts(many, of_short[_MANY_ALONE], 32),
    )
    yield Row(
        "decode-more-frames-memory", "the same: the most memory at once", "8 frames", at_most=4.0, **_memory(many, few)
    )
    least = _part(of_film[_MANY_ALONE].busy, of_short[_MANY_ALONE].busy)
    yield Row(
        "decode-film",
        "32 frames of a two-hour film",
        "32 frames of the two-minute video",
        asked="by the frames, not the 60 times as long duration",
        at_most=2.0,
        **_time(long, many),
        **_floor(of_film[_MANY_ALONE]),
        parts=_parts(long, of_film[_MANY_ALONE], 32),
        notes=(
            _busy(long, many),
            f"To get at these frames FFmpeg alone takes {least:.2f} times as long in the film: fewer share a keyframe.",
            f"32 frames of the film: {_part(long.seconds, of_film[_FEW].seconds):.2f} times as long as 8 of them.",
        ),
    )
    yield Row(
        "decode-film-memory",
        "32 frames of a two-hour film: the most memory at once",
        "32 frames of the two-minute video",
        at_most=1.1,
        **_memory(long, many),
    )


def _time(ours: Contender, theirs: Contender) -> dict[str, Any]:
    pairs = zip(ours.seconds, theirs.seconds, strict=True)
    return {
        "ratios": tuple(one / other for one, other in pairs),
        "reads": "× the time",
        "ours": statistics.median(ours.seconds),
        "theirs": statistics.median(theirs.seconds),
    }


def _memory(ours: Contender, theirs: Contender) -> dict[str, Any]:
    return {
        "ratios": tuple(one / other for one, other in zip(ours.peaks, theirs.peaks, strict=True)),
        "reads": "× the memory",
        "ours": statistics.median(ours.peaks),
        "theirs": statistics.median(theirs.peaks),
        "unit": "MB",
    }


def _floor(alone: Contender) -> dict[str, Any]:
    return {"floor": statistics.median(alone.seconds), "floor_is": _LEAST}


def _least_memory() -> float:
    with Contender(_OURS) as idle:
        idle.read(DEMO_VIDEO)
        return idle.held() + (1920 * 1080 * (1.5 + 3) + FRAMES * SIDE * SIDE * 3) / 1e6


def _parts(ours: Contender, alone: Contender, frames: int) -> tuple[tuple[str, float], ...]:
    """Of the processors' seconds; those of a step are measured apart."""
    total = statistics.median(ours.busy)
    converting, resizing = (frames * each / total for each in resize_seconds(short()))
    decoding = statistics.median(alone.busy) / total
    rest = max(0.0, 1 - decoding - converting - resizing)
    found = [
        ("decoding", decoding),
        ("Pillow's resizing", resizing),
        ("to RGB", converting),
        ("tables, copies, processes", rest),
    ]
    return tuple(sorted(found, key=lambda part: -part[1]))


def _part(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def _busy(ours: Contender, theirs: Contender) -> str:
    ratio = _part(ours.busy, theirs.busy)
    seconds = (statistics.median(ours.busy), statistics.median(theirs.busy))
    return f"Seconds of the processors: {seconds[0]:.2f} to {seconds[1]:.2f}, {ratio:.3f} of them."


@dataclass(frozen=True)
class _Alone:
    """A `measuring.Bench` for this module run by itself."""

    wanted: frozenset[str]
    console: Console

    def pairs(self, count: int) -> int:
        return count

    def say(self, what: str) -> None:
        self.console.log(what)


def main() -> int:
    """Measures and prints; 1 where something is missed."""
    console = Console(width=118)
    began, missed = time.monotonic(), False
    for row in rows(_Alone(frozenset(sys.argv[1:] or ROWS), console)):
        missed |= row.kept is False
        verdict = "kept" if row.kept else "MISSED"
        over = "" if row.over_floor is None else f"; floor {row.floor:.3g} {row.unit}, {row.over_floor:.2f} × that"
        console.print(
            f"{row.name}: {row.ratio:.3f} {row.reads} ({row.at_most} at the most: {verdict}); "
            f"{row.ours:.3g} to {row.theirs:.3g} {row.unit}{over}"
        )
        for line in (", ".join(f"{name} {share:.0%}" for name, share in row.parts), *row.notes):
            if line:
                console.print(f"    {line}")
    console.log(f"{time.monotonic() - began:.0f} s")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
