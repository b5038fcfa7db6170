"""The README's table of families lists those that are tested, with what is known of them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.families.conftest import FAMILIES
from tests.families.table import BEGIN, END, table

ROOT = Path(__file__).parents[2]


def test_the_table_lists_the_families_that_are_tested() -> None:
    (transformers,) = re.findall(r"^transformers==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    passed = {family.name: {"placeholder": family.placeholder, "max_frames": family.max_frames} for family in FAMILIES}
    written = (ROOT / "README.md").read_text().split(BEGIN)[1].split(END)[0]
    assert written == table({"transformers": transformers, "passed": passed})
