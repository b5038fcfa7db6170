"""How things are measured: runs that take turns, the most memory in between, and where the time went."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from report import Machine
from rich.console import Console
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile

from video_tool import Settings, VideoAnswer

_CONSOLE = Console(width=118, stderr=True)

_GROUPS = (
    ("attention", ("scaled_dot_product", "flash_attention", "_softmax")),
    ("matrix products", ("mm", "linear", "matmul", "convolution", "conv2d")),
    ("copying", ("cat", "copy_", "clone", "contiguous", "index", "fill_", "to", "repeat", "expand", "masked_scatter")),
)
"""Operations of torch by what is in their names, the first that fits."""


@dataclass(frozen=True)
class Bench:
    """What a module of rows is given.

    Attributes:
        wanted: the names of the rows to measure.
        machine: what is measured on.
        scratch: a folder for checkpoints and videos, shared by all modules of a run.
        quick: whether small shapes and few runs are enough, to see that all works.
    """

    wanted: frozenset[str]
    machine: Machine
    scratch: Path
    quick: bool = False

    def pairs(self, count: int) -> int:
        return 2 if self.quick else count

    def say(self, what: str) -> None:
        _CONSOLE.log(what)


@dataclass
class Pairs:
    """Seconds (or whatever is measured) of runs that took turns."""

    ours: list[float] = field(default_factory=list[float])
    theirs: list[float] = field(default_factory=list[float])

    @property
    def faster(self) -> tuple[float, ...]:
        """How many times faster ours was, pair by pair."""
        return tuple(theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def share(self) -> tuple[float, ...]:
        """Which part of the reference's ours took, pair by pair."""
        return tuple(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def medians(self) -> dict[str, float]:
        """As a row has them."""
        return {"ours": statistics.median(self.ours), "theirs": statistics.median(self.theirs)}


def take_turns(
    bench: Bench, name: str, count: int, ours: Callable[[int], float], theirs: Callable[[int], float]
) -> Pairs:
    """Runs both so many times, ours and the reference in turn; each is given its number and returns what it took."""
    pairs = Pairs()
    for number in range(count):
        pairs.ours.append(ours(number))
        pairs.theirs.append(theirs(number))
        bench.say(f"{name}: pair {number + 1} of {count}: {pairs.ours[-1]:.3g} beside {pairs.theirs[-1]:.3g}")
    return pairs


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def without_caches() -> Settings:
    """Nothing is kept from one question to the next."""
    return Settings.model_validate({name: 0 for name in Settings.model_fields if name.endswith("_cache_bytes")})


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Told within the block: the most bytes that this process has held in it.

    Linux only: https://www.kernel.org/doc/html/latest/filesystems/proc.html, `clear_refs` and `VmHWM`.
    """
    Path("/proc/self/clear_refs").write_text("5")

    def held() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        (highest,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(highest) * 1024

    yield held


def held_by_all() -> int:
    """Bytes that this process and those that it started hold, what they share counted once."""
    process = psutil.Process()
    return sum(each.memory_full_info().pss for each in (process, *process.children(recursive=True)))


@dataclass
class Profiled:
    """What came of some work, and where its time went."""

    found: Any
    seconds: float
    parts: tuple[tuple[str, float], ...]


def profiled(work: Callable[[], Any]) -> Profiled:
    """Does some work and tells which share of the time each kind of operation took.

    Decoding, and making the prompt, are as the answer's receipt says; what is left is Python's.
    """
    cuda = torch.cuda.is_available()
    began = time.perf_counter()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    # several questions are answered in a thread that is none of the askers'
    every_thread = _ExperimentalConfig(profile_all_threads=True)
    with profile(activities=activities, experimental_config=every_thread) as watched:
        found = work()
        took = time.perf_counter() - began
    spent: dict[str, float] = {}
    for event in watched.key_averages():
        micro = event.self_device_time_total if cuda else event.self_cpu_time_total
        group = next((name for name, words in _GROUPS if any(word in event.key for word in words)), "other operations")
        spent[group] = spent.get(group, 0.0) + micro / 1e6
    if isinstance(found, VideoAnswer):
        spent["decoding"] = found.timings.decode
        spent["making the prompt"] = found.timings.prompt
    spent["waiting for the processor" if cuda else "Python"] = max(0.0, took - sum(spent.values()))
    return Profiled(found, took, shares(spent))


def shares(spent: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Named parts of a whole, the largest first."""
    whole = sum(spent.values())
    return tuple(sorted(((name, part / whole) for name, part in spent.items()), key=lambda each: -each[1]))
