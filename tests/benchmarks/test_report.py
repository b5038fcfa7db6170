"""The page of measured ratios, drawn of rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report import BEGIN, END, PAGE, Machine, Results, Row, draw_into

MACHINE = Machine("A Processor", 2, 24.0, versions={"Python": "3.11.7"}, rates={"float32": 1.5e11, "memory": 1.1e10})
ROW = Row(
    "follow-up",
    "time to first token",
    "(a) the common recipe",
    ratios=(39.0, 45.5, 41.0),
    at_least=40,
    ours=2.0,
    theirs=82.0,
    floor=0.5,
    floor_is="weights read once",
    parts=(("matrix products", 0.61), ("Python", 0.39)),
    notes=("All 3 answers are those of the reference.",),
)
EMPTY = f"# How fast\n\nWords.\n\n{BEGIN}\n{END}\n\nMore words.\n"


def drawn(*rows: Row, page: str = EMPTY, order: tuple[str, ...] = ()) -> str:
    results = Results()
    for row in rows:
        results.add(row, MACHINE, "2026-11-23")
    return draw_into(page, results, order)


def test_a_row_says_its_ratio_its_spread_and_its_floor() -> None:
    page = drawn(ROW)
    assert "| time to first token | (a) the common recipe | ≥ 40 × faster | **41** × faster | 3: 39 – 45.5 |" in page
    assert "| time to first token | 2 s | 0.5 s | 4 × | weights read once | matrix products 61%, Python 39% |" in page
    assert "2026-11-23" in page
    assert "float32 150 GFLOP/s, memory 11 GB/s" in page
    assert "- **time to first token**: All 3 answers are those of the reference." in page


def test_what_misses_its_figure_is_said_to() -> None:
    assert "missed" not in drawn(ROW)
    assert "**41** × faster, **missed**" in drawn(replace(ROW, at_least=42))
    assert "**41** × the time, **missed**" in drawn(replace(ROW, reads="× the time", at_least=None, at_most=0.6))


def test_a_row_that_was_skipped_says_why() -> None:
    row = replace(ROW, ratios=(), skipped="there is no CUDA device")
    assert "| ≥ 40 × faster | not measured: there is no CUDA device |" in drawn(row)
    assert row.kept is None


def test_the_words_around_the_tables_stay() -> None:
    once = drawn(ROW)
    again = drawn(replace(ROW, ratios=(50.0,)), page=once)
    assert again.startswith("# How fast\n\nWords.\n")
    assert again.endswith("\n\nMore words.\n")
    assert "**50**" in again
    assert "**41**" not in again


def test_a_page_without_a_place_for_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for results"):
        drawn(ROW, page="# How fast\n")


def test_rows_are_in_the_order_of_the_modules() -> None:
    page = drawn(replace(ROW, name="b", what="second"), replace(ROW, name="a", what="first"), order=("a", "b"))
    assert page.index("| first |") < page.index("| second |")


def test_results_are_kept_and_read_again(tmp_path: Path) -> None:
    results = Results()
    results.add(ROW, MACHINE, "2026-11-23")
    results.write(tmp_path / "kept.json")
    again = Results.read(tmp_path / "kept.json")
    assert again == results
    assert draw_into(EMPTY, again, ()) == draw_into(EMPTY, results, ())


def test_a_row_that_is_skipped_today_does_not_hide_what_was_measured() -> None:
    results = Results()
    results.add(ROW, MACHINE, "2026-11-23")
    results.add(replace(ROW, ratios=(), skipped="no CUDA device"), MACHINE, "2026-11-24")
    assert results.rows["follow-up"].measured == "2026-11-23"


def test_machines_on_which_nothing_is_left_are_forgotten(tmp_path: Path) -> None:
    results = Results()
    results.add(ROW, replace(MACHINE, cpu="An Older One"), "2026-11-22")
    results.add(ROW, MACHINE, "2026-11-23")
    results.write(tmp_path / "kept.json")
    assert "An Older One" not in (tmp_path / "kept.json").read_text()


def test_the_page_in_the_repository_has_a_place_for_tables() -> None:
    assert draw_into(PAGE.read_text(), Results(), ()).count(BEGIN) == 1
