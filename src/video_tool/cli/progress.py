"""Bars, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from video_tool.cli.terminal import one_line, stderr_console
from video_tool.progress import OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from rich.progress import TaskID

_SUBJECT_WIDTH = 40


@contextmanager
def shown_progress() -> Generator[OnProgress]:
    """Show on stderr what the engine is doing, until the block ends; nothing when nobody watches."""
    if not sys.stderr.isatty():
        yield ignore_progress
        return

    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars

    tasks: dict[tuple[str, str], TaskID] = {}
    # Transient: what stays on the terminal is the answer and its receipt.
    with Bars(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.fields[stage]:<8}", style="bold", markup=False),
        TextColumn("{task.description}", style="dim", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        console=stderr_console(),
        transient=True,
    ) as bars:

        def on_progress(news: Progress) -> None:
            key = (news.stage, news.subject)
            if key not in tasks:
                tasks[key] = bars.add_task(_subject(news.subject), total=None, stage=news.stage, amount="")
            bars.update(tasks[key], completed=news.done, total=news.total, amount=_amount(news))

        yield on_progress


def _subject(subject: str) -> str:
    line = one_line(subject)
    # The end of a path or URL tells more than its beginning.
    return line if len(line) <= _SUBJECT_WIDTH else f"…{line[1 - _SUBJECT_WIDTH :]}"


def _amount(news: Progress) -> str:
    if news.unit == "models":  # one model is loaded or it is not: a count says nothing
        return ""
    if news.unit == "bytes":
        from rich.filesize import decimal

        amount = decimal(news.done) if news.total is None else f"{decimal(news.done)} of {decimal(news.total)}"
        return f"{amount}, {decimal(int(news.rate))}/s" if news.rate else amount
    return f"{news.done} {news.unit}" if news.total is None else f"{news.done} of {news.total} {news.unit}"
