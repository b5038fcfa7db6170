"""`video-tool plugins`: what other packages add."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from video_tool.cli.options import AsJson, load_settings
from video_tool.cli.terminal import one_line, print_json, print_rendered, print_text

if TYPE_CHECKING:
    from video_tool.plugins import Plugin


def plugins(as_json: AsJson = False) -> None:
    """List what other packages add, and what is wrong with it.

    All of it is loaded for that, short of what VIDEO_TOOL_PLUGINS leaves out. Exits with 1 when something is broken.
    """
    settings = load_settings()
    found = list(every_plugin(settings.plugins))
    if as_json:
        print_json(json.dumps([asdict(plugin) for plugin in found], indent=2, ensure_ascii=False))
    elif found:
        _print_table(found)
    else:
        print_text("No package adds anything.")
    raise typer.Exit(1 if any(plugin.status == "broken" for plugin in found) else 0)


def every_plugin(allowed: Sequence[str] | None) -> Iterator[Plugin]:
    """Those of all kinds; `allowed` as `Settings.plugins` has it."""
    from video_tool.frames.readers import READERS
    from video_tool.frames.samplers import SAMPLERS
    from video_tool.models.backends import BACKENDS
    from video_tool.models.families import FAMILIES
    from video_tool.sources.plugged import SOURCES

    for extensions in (BACKENDS, FAMILIES, SOURCES, READERS, SAMPLERS):
        yield from extensions.find(allowed).plugins


def _print_table(found: Sequence[Plugin]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("package", "version", "kind", "name"):
        table.add_column(heading, no_wrap=True)
    table.add_column("", overflow="fold")
    styles = {"works": "green", "broken": "red", "off": "dim"}
    for plugin in found:
        row = (plugin.distribution, plugin.version, plugin.kind, plugin.name)
        state = f"{plugin.status}: {plugin.why}" if plugin.why else plugin.status
        table.add_row(*(Text(one_line(text)) for text in row), Text(one_line(state), style=styles[plugin.status]))
    print_rendered(table)
