"""Counts what questions to the built-in model take, and holds it to bounds.toml: `make bench-quick`.

    PYTHONPATH=. python benchmarks/quick.py

Ends with status 1 where a count is larger than its bound. Counts are the same on any machine; the seconds of a
follow-up beside a first question are printed, too, and not judged.
"""

from __future__ import annotations

import math
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from counting import FRAMES, count_all, draw_video
from rich.console import Console
from rich.table import Table

from video_tool import VideoQA

BOUNDS = Path(__file__).with_name("bounds.toml")
_PAIRS = 5


@dataclass(frozen=True)
class Judged:
    """A count and its bound.

    Attributes:
        name: of both.
        count: nan where nothing was counted.
        at_most: the bound; nan where there is none.
    """

    name: str
    count: float
    at_most: float

    @property
    def verdict(self) -> str:
        if math.isnan(self.at_most):
            return "has no bound"
        if math.isnan(self.count):
            return "was not counted"
        return "as recorded" if self.count <= self.at_most else "worse"

    @property
    def kept(self) -> bool:
        return self.verdict == "as recorded"


def judge(counts: Mapping[str, float], bounds: Mapping[str, Mapping[str, object]]) -> list[Judged]:
    """All counts beside their bounds; one without the other is not kept to."""
    names = [*bounds, *(name for name in counts if name not in bounds)]
    return [
        Judged(name, counts.get(name, math.nan), float(str(bounds.get(name, {}).get("at_most", math.nan))))
        for name in names
    ]


def main() -> int:
    console = Console(width=118)
    bounds = tomllib.loads(BOUNDS.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        judged = judge(count_all(Path(scratch)), bounds)
        first, follow_up = _times(Path(scratch))
    table = Table("count", "counted", "at most", "")
    for each in judged:
        table.add_row(each.name, f"{each.count:.4g}", f"{each.at_most:.4g}", each.verdict)
    console.print(table)
    console.print(
        f"a follow-up takes {follow_up / first:.2f} of a first question's time (median of {_PAIRS}, not judged)"
    )
    worse = [each for each in judged if not each.kept]
    for each in worse:
        console.print(f"{each.name} {each.verdict}. {bounds.get(each.name, {}).get('why', '')}", style="bold red")
    return bool(worse)


def _times(scratch: Path) -> tuple[float, float]:
    """Seconds of a first question about a video, and of another one: medians of runs that took turns."""
    qa = VideoQA("builtin", device="cpu")
    seconds: list[list[float]] = [[], []]
    qa.ask("Is it red?", [draw_video(scratch / "times.mp4", 48, 99)], num_frames=FRAMES)
    for number in range(_PAIRS):
        video = draw_video(scratch / f"times-{number}.mp4", 48, 100 + number)
        for turn, question in enumerate(("What colour is the shape?", "Is it moving?")):
            seconds[turn].append(qa.ask(question, [video], num_frames=FRAMES, max_new_tokens=1).timings.total)
    first, follow_up = np.median(seconds, axis=1)
    return float(first), float(follow_up)


if __name__ == "__main__":
    sys.exit(main())
