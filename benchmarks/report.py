"""What `make bench` found, row by row, and the page that is drawn of it: docs/performance.md.

Rows are kept in benchmarks/performance.json, with the machine that each was measured on: the page is drawn from that
file, and rows that were not measured again stay as they were.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).with_name("performance.json")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: make bench -->", "<!-- end of what was measured -->"

_MOST_PARTS = 5


@dataclass(frozen=True)
class Row:
    """One thing that was measured, beside what it is compared with.

    Attributes:
        name: what `--rows` calls it.
        what: what was done.
        reference: what it is compared with.
        ratios: of each alternating pair of runs, as `reads` says; in their order.
        reads: what a ratio is. `× faster`: the reference's time over ours; the others: ours over the reference's.
        at_least: the least that the ratio should be.
        at_most: the most that it should be.
        asked: the same in words, where a number does not say all.
        ours: the median of our runs.
        theirs: the median of the reference's.
        unit: of both, and of the floor.
        floor: the least that the work could take on this machine.
        floor_is: what it is made of.
        parts: where ours goes, as a share of it each, largest first.
        notes: what else one has to know, such as whether both sides gave the same answers.
        skipped: why nothing was measured.
        measured: the day, as YYYY-MM-DD.
        machine: which one, as `Machine.label` has it.
    """

    name: str
    what: str
    reference: str
    ratios: tuple[float, ...] = ()
    reads: Literal["× faster", "× the time", "× the memory", "× the tokens/s"] = "× faster"
    at_least: float | None = None
    at_most: float | None = None
    asked: str = ""
    ours: float | None = None
    theirs: float | None = None
    unit: str = "s"
    floor: float | None = None
    floor_is: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str = ""
    measured: str = ""
    machine: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of all pairs."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def kept(self) -> bool | None:
        """Whether the ratio is as it should be; None where nothing was asked or measured."""
        if self.ratio is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or self.ratio >= self.at_least) and (
            self.at_most is None or self.ratio <= self.at_most
        )

    @property
    def over_floor(self) -> float | None:
        return self.ours / self.floor if self.ours is not None and self.floor else None


@dataclass(frozen=True)
class Machine:
    """What rows were measured on.

    Attributes:
        cpu: its model.
        cores: that the process may use.
        memory: GiB.
        gpu: its model; empty without one.
        versions: of Python and the packages that do the work, by name.
        rates: operations a second of a large matrix product, by dtype, and bytes a second read from memory.
    """

    cpu: str
    cores: int
    memory: float
    gpu: str = ""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    rates: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def label(self) -> str:
        """What tells it from another; what its rates are today does not."""
        return " · ".join(
            [f"{self.cpu}, {self.cores} cores, {self.memory:.0f} GiB", *([self.gpu] if self.gpu else [])]
            + [f"{name} {version}" for name, version in self.versions.items()]
        )


@dataclass
class Results:
    """All rows that were ever measured, the last of each name, and their machines."""

    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    machines: dict[str, Machine] = field(default_factory=dict[str, Machine])

    @classmethod
    def read(cls, path: Path) -> Results:
        if not path.exists():
            return cls()
        found = json.loads(path.read_text())
        return cls(
            {row["name"]: _row(row) for row in found["rows"]},
            {label: Machine(**machine) for label, machine in found["machines"].items()},
        )

    def add(self, row: Row, machine: Machine, day: str) -> None:
        """Takes the place of what was measured before; a row that was skipped does not."""
        before = self.rows.get(row.name)
        if row.skipped and before is not None and before.ratios:
            return
        self.rows[row.name] = replace(row, machine=machine.label, measured=day)
        self.machines[machine.label] = machine

    def write(self, path: Path) -> None:
        used = {row.machine for row in self.rows.values()}
        self.machines = {label: machine for label, machine in self.machines.items() if label in used}
        content = {
            "machines": {label: asdict(machine) for label, machine in self.machines.items()},
            "rows": [asdict(row) for row in self.rows.values()],
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def draw_into(page: str, results: Results, order: Sequence[str]) -> str:
    """The page with what is between its markers drawn anew; the text around them stays."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no place for results, between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{draw(results, order)}\n{END}{after}"


def draw(results: Results, order: Sequence[str]) -> str:
    """Tables of all rows, in this order: ratios first, then floors, then what is to be said of single rows."""
    rows = sorted(results.rows.values(), key=lambda row: order.index(row.name) if row.name in order else len(order))
    measured = [row for row in rows if not row.skipped]
    letters = {label: chr(ord("A") + number) for number, label in enumerate(results.machines)}
    sections = [
        _machines(results, letters),
        "## Ratios\n\n" + _table(_RATIO_HEAD, (_ratio_cells(row, letters) for row in rows)),
        "## Floors, and where the rest goes\n\n" + _table(_FLOOR_HEAD, (_floor_cells(row) for row in measured)),
    ]
    notes = [f"- **{row.what}**: {_plain(note)}" for row in measured for note in row.notes]
    if notes:
        sections.append("## Notes\n\n" + "\n".join(notes) + "\n")
    return "\n".join(sections)


_RATIO_HEAD = ("what", "reference", "asked", "measured", "pairs: min – max", "ours", "theirs", "on")
_FLOOR_HEAD = ("what", "ours", "floor", "ours over floor", "the floor is", "where ours goes")


def _ratio_cells(row: Row, letters: dict[str, str]) -> list[str]:
    if row.skipped:
        return [row.what, row.reference, _asked(row), f"not measured: {row.skipped}", "", "", "", ""]
    verdict = {True: "", False: ", **missed**", None: ""}[row.kept]
    assert row.ratio is not None
    measured = f"**{_number(row.ratio)}** {row.reads}{verdict}"
    spread = f"{len(row.ratios)}: {_number(min(row.ratios))} – {_number(max(row.ratios))}"
    where = f"{letters[row.machine]}, {row.measured}"
    return [
        row.what,
        row.reference,
        _asked(row),
        measured,
        spread,
        _quantity(row.ours, row),
        _quantity(row.theirs, row),
        where,
    ]


def _floor_cells(row: Row) -> list[str]:
    over = "–" if row.over_floor is None else f"{_number(row.over_floor)} ×"
    parts = ", ".join(f"{name} {share:.0%}" for name, share in row.parts[:_MOST_PARTS])
    return [row.what, _quantity(row.ours, row), _quantity(row.floor, row), over, row.floor_is or "–", parts or "–"]


def _asked(row: Row) -> str:
    if row.asked:
        return row.asked
    bounds = [
        f"{sign} {_number(bound)} {row.reads}"
        for sign, bound in (("≥", row.at_least), ("≤", row.at_most))
        if bound is not None
    ]
    return ", ".join(bounds) or "–"


def _machines(results: Results, letters: dict[str, str]) -> str:
    lines = []
    for label, machine in results.machines.items():
        rates = ", ".join(
            f"{name} {rate / 1e9:.0f} {'GB/s' if name == 'memory' else 'GFLOP/s'}"
            for name, rate in machine.rates.items()
        )
        lines.append(f"- **{letters[label]}**: {label}" + (f". Measured: {rates}" if rates else ""))
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_plain(cell) for cell in cells) + " |\n" for cells in lines)


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _quantity(value: float | None, row: Row) -> str:
    return "–" if value is None else f"{_number(value)} {row.unit}"


def _number(value: float) -> str:
    """Three digits, as people write them."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 or value == 0 else f"{value:.1e}"


def _row(found: dict[str, Any]) -> Row:
    lists = {"ratios": tuple(found["ratios"]), "notes": tuple(found["notes"])}
    return Row(**found | lists | {"parts": tuple((name, share) for name, share in found["parts"])})
