"""Writes the README's table of families from the report of the tests that passed: `REPORT README`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.families.conftest import FAMILIES
from tests.families.family import Family

BEGIN, END = "<!-- families: make families-table -->\n", "<!-- end of families -->\n"
_HEAD = """\
| family | a video in the prompt | most frames | kinds | needs | tested with Transformers |
|---|---|---|---|---|---|
"""


def row(family: Family, found: dict[str, Any], transformers: str) -> str:
    """What the tests found of one family."""
    placeholder = "`{}`".format(found["placeholder"].replace("|", r"\|"))
    cells = (
        family.name,
        placeholder if family.video else f"N × {placeholder}",
        str(found["max_frames"] or "–"),
        ", ".join(family.kinds),
        ", ".join(f"`{name}`" for name in family.needs) or "–",
        transformers,
    )
    return f"| {' | '.join(cells)} |\n"


def table(report: dict[str, Any]) -> str:
    """The families that passed."""
    passed = [family for family in FAMILIES if family.name in report["passed"]]
    rows = (row(family, report["passed"][family.name], report["transformers"]) for family in passed)
    return _HEAD + "".join(rows)


def main(report: Path, readme: Path) -> None:
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    _, behind = rest.split(END)
    readme.write_text(before + BEGIN + table(json.loads(report.read_text())) + END + behind)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
