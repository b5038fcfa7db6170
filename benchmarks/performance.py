"""Measures ours beside what one would do without it, and writes docs/performance.md: `make bench`.

    PYTHONPATH=. python benchmarks/performance.py [--rows NAME …] [--quick] [--draw]

Each module of rows runs in a process of its own, which gives its memory back. What a row has found is kept as soon as
it is there; rows that are not named stay as they were measured last.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from machine import describe
from measuring import Bench
from report import PAGE, RESULTS, Results, Row, draw_into
from rich.console import Console

MODULES = ("decoding", "small_model", "asking", "other_ways", "first_questions", "scaling", "on_gpu")
"""Each has `ROWS`, the names; `SLOW`, those that are measured when they are named alone, and what they take; and
`rows(bench)`."""

_CONSOLE = Console(width=118)


def main() -> int:
    modules = {name: import_module(name) for name in MODULES}
    there_are = [row for module in modules.values() for row in module.ROWS]
    slow = {row: takes for module in modules.values() for row, takes in module.SLOW.items()}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=there_are, help=", ".join(there_are))
    parser.add_argument("--quick", action="store_true", help="small shapes, few runs; prints, and keeps nothing")
    parser.add_argument("--draw", action="store_true", help="draw the page from what was measured before")
    asked = parser.parse_args()
    results = Results.read(RESULTS)
    if asked.draw:
        PAGE.write_text(draw_into(PAGE.read_text(), results, there_are))
        return 0
    wanted = frozenset(asked.rows or set(there_are) - slow.keys())
    for row, takes in slow.items():
        if row not in wanted:
            _CONSOLE.log(f"{row}: left out, it takes {takes}; --rows {row} measures it")
    missing = measure(modules, wanted, results, there_are, quick=asked.quick)
    if missing:
        _CONSOLE.log(f"not measured, see above: {', '.join(sorted(missing))}")
    return bool(missing)


def measure(
    modules: dict[str, Any], wanted: frozenset[str], results: Results, order: list[str], *, quick: bool
) -> set[str]:
    """Measures rows and keeps what is found; returns the names of those that failed."""
    began = time.monotonic()
    machine = describe()
    _CONSOLE.log(machine.label)
    missing = set(wanted)
    with tempfile.TemporaryDirectory() as scratch:
        for name, module in modules.items():
            mine = wanted.intersection(module.ROWS)
            if not mine:
                continue
            for row in _apart(name, Bench(mine, machine, Path(scratch), quick)):
                missing.discard(row.name)
                _tell(row, time.monotonic() - began)
                if not quick:
                    results.add(row, machine, datetime.now(UTC).date().isoformat())
                    results.write(RESULTS)
                    PAGE.write_text(draw_into(PAGE.read_text(), results, order))
    return missing


def _apart(module: str, bench: Bench) -> Iterator[Row]:
    """The rows of a module, measured in a process of its own; fewer, where that fails."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_rows_of, args=(module, bench, theirs))
    process.start()
    theirs.close()
    try:
        with suppress(EOFError):
            while True:
                yield ours.recv()
        process.join()
        if process.exitcode:
            _CONSOLE.log(f"{module} ended with status {process.exitcode}")
    finally:
        process.terminate()
        process.join()


def _rows_of(module: str, bench: Bench, told: Any) -> None:
    for row in import_module(module).rows(bench):
        told.send(row)


def _tell(row: Row, elapsed: float) -> None:
    if row.skipped:
        _CONSOLE.log(f"[bold]{row.name}[/]: not measured, {row.skipped}")
        return
    verdict = {True: "as asked", False: "MISSED", None: "nothing asked"}[row.kept]
    over = "" if row.over_floor is None else f", {row.over_floor:.1f} times the floor"
    _CONSOLE.log(
        f"[bold]{row.name}[/]: {row.ratio:.3g} {row.reads} ({verdict}){over}; {elapsed / 60:.1f} minutes so far"
    )
    for note in row.notes:
        _CONSOLE.log(f"    {note}")


if __name__ == "__main__":
    sys.exit(main())
