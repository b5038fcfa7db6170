"""`video-tool cache`: what has been downloaded and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from video_tool.cli.options import AsJson, load_settings
from video_tool.cli.terminal import one_line, print_json, print_rendered, print_text, stderr_console
from video_tool.errors import VideoToolError

if TYPE_CHECKING:
    from video_tool.sources.store import Store

cache = typer.Typer(help="Show, clear and verify the downloads that are kept.", invoke_without_command=True)


@cache.callback()
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """List what has been downloaded and kept, the most recently used first.

    Addresses are shown without what may be secret in them.
    """
    if context.invoked_subcommand:
        if as_json:
            raise typer.BadParameter("--json belongs behind the command that it is for")
        return
    with _opened_store() as store:
        found = store.kept()
        size = store.size()
    if as_json:
        downloads = [
            {
                "address": entry.name,
                "bytes": entry.size,
                "sha256": entry.sha256,
                "fetched": entry.fetched,
                "used": used,
                "fresh_until": entry.freshness.checked + entry.freshness.lifetime,
            }
            for entry, used in found
        ]
        report = {"folder": str(store.folder), "bytes": size, "max_bytes": store.max_bytes, "downloads": downloads}
        print_json(json.dumps(report, indent=2, ensure_ascii=False))
        return

    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    from video_tool.sources.cache import duration

    head = f"{one_line(str(store.folder))}: {decimal(size)} of {decimal(store.max_bytes)}"
    print_text(head)
    if not found:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("size", "fetched", "used"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("address", overflow="fold")
    now = time.time()
    for entry, used in found:
        ages = (f"{duration(now - moment)} ago" for moment in (entry.fetched, used))
        table.add_row(decimal(entry.size), *ages, Text(one_line(entry.name)))
    print_rendered(table)


@cache.command()
def clear() -> None:
    """Remove all downloads; what is in use stays for whoever uses it."""
    with _opened_store() as store:
        removed = store.clear()

    from rich.filesize import decimal

    stderr_console().print(f"{decimal(removed)} removed")


@cache.command()
def verify(as_json: AsJson = False) -> None:
    """Compare every download with its checksum, and remove those that are damaged.

    Exits with 1 when there were any.
    """
    with _opened_store() as store:
        found = store.verify()
    if as_json:
        print_json(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        from rich.filesize import decimal

        for name in found.damaged:
            print_text(f"damaged, removed: {one_line(name)}")
        print_text(f"{found.files} files as they were stored, {decimal(found.bytes)}; {len(found.damaged)} damaged")
    raise typer.Exit(1 if found.damaged else 0)


@contextmanager
def _opened_store() -> Generator[Store]:
    settings = load_settings()

    from video_tool.sources.cache import store_of

    try:
        store = store_of(settings)
        store.prepare()
        yield store
    except OSError as error:
        raise VideoToolError(
            f"the cache in {settings.cache_dir} can't be used: {error.strerror or error}",
            hint="Check the rights on the folder, or name another one with VIDEO_TOOL_CACHE_DIR",
        ) from error
