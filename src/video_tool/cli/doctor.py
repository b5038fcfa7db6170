"""`video-tool doctor`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from video_tool.cli.options import AsJson, Attention, BaseUrl, Device, Dtype, Model
from video_tool.cli.terminal import print_json, print_rendered

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from video_tool.cli.diagnosis import Diagnosis

    Rows = Iterator[tuple[str, str, str]]

_GOOD = "[green]✓[/green]"
_BAD = "[red]✗[/red]"
_ABSENT = "[dim]–[/dim]"


def doctor(
    model: Model = None,
    base_url: BaseUrl = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    attention: Attention = "auto",
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what a question would run on, and what is missing.

    Exits with 0 when a question could be asked, with 1 when something needed is missing.
    """
    from video_tool.cli.diagnosis import diagnose

    found = diagnose(model, base_url, device, dtype, attention)
    if as_json:
        print_json(json.dumps({"ready": not found.problems, **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        _print_table(found)
    raise typer.Exit(1 if found.problems else 0)


def _print_table(found: Diagnosis) -> None:
    shown: list[RenderableType] = []
    for heading, rows in (
        (f"video-tool {found.version or ''}".rstrip(), _about(found)),
        ("Packages", _packages(found)),
        ("Extras", _extras(found)),
        ("Plugins", _plugins(found)),
        ("Devices", _devices(found)),
        ("A question would use", _choice(found)),
        ("Settings", _settings(found)),
        ("Notes", (("", "•", _escaped(note)) for note in found.notes)),
        ("Missing" if found.problems else "", ((_BAD, "", _escaped(problem)) for problem in found.problems)),
    ):
        table = _grid(rows)
        if table.row_count:
            shown += [f"[bold]{heading}[/bold]", table, ""]
    if not found.problems:
        shown.append(f"{_GOOD} A question can be asked.")
    print_rendered(*shown)


def _grid(rows: Rows) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    table.add_column(width=2, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _about(found: Diagnosis) -> Rows:
    yield "", "python", _escaped(found.python)
    yield "", "platform", _escaped(found.platform)
    yield "", "ffmpeg", "[dim]not needed: decord2 and av bring their own[/dim]"


def _packages(found: Diagnosis) -> Rows:
    for package in found.packages:
        problem = f"[red]{_escaped(package.problem)}[/red], needed is {package.needed}" if package.problem else ""
        yield _BAD if problem else _GOOD, package.name, problem or package.version or ""


def _extras(found: Diagnosis) -> Rows:
    for extra in found.extras:
        line = "" if extra.installed else f"[dim]{_escaped(extra.install)}[/dim]"
        yield _GOOD if extra.installed else _ABSENT, extra.name, line


def _plugins(found: Diagnosis) -> Rows:
    marks = {"works": _GOOD, "broken": _BAD, "off": _ABSENT}
    for plugin in found.plugins:
        why = f": {plugin.why}" if plugin.why else ""
        origin = f"{plugin.kind}, of {plugin.distribution} {plugin.version}".rstrip()
        yield marks[plugin.status], _escaped(plugin.name), _escaped(f"{origin}{why}")


def _devices(found: Diagnosis) -> Rows:
    for device in found.devices:
        memory = f", {device.memory_bytes / 2**30:.1f} GiB" if device.memory_bytes else ""
        yield "", device.device, f"{device.name}{memory}"


def _choice(found: Diagnosis) -> Rows:
    if found.model:
        yield "", "model", f"{_escaped(found.model.id)} [dim]({_escaped(found.model.state)})[/dim]"
    if found.model and found.model.kind:
        yield "", "kind", found.model.kind
        yield "", "takes", _escaped(found.model.takes or "")
        if found.model.context_tokens:
            yield "", "context", f"{found.model.context_tokens} tokens"
    if found.model and found.model.cache:
        free = found.model.cache_free_bytes
        space = f" [dim]({free / 2**30:.1f} GiB free)[/dim]" if free is not None else ""
        yield "", "models in", f"{_escaped(found.model.cache)}{space}"
    if found.choice:
        yield "", "device", found.choice.device
        yield "", "dtype", found.choice.dtype
        yield "", "attention", found.choice.attention
        yield "", "because", f"[dim]{_escaped(found.choice.reason)}[/dim]"


def _settings(found: Diagnosis) -> Rows:
    for setting in found.settings:
        value = _escaped(str(setting.value))
        yield "", setting.variable, f"[dim]{value}[/dim]" if setting.default else value


def _escaped(text: str) -> str:
    """Brackets as themselves: rich would read pip's as markup."""
    from rich.markup import escape

    return escape(text)
