"""`video-tool mcp`: the tools for agents that speak the Model Context Protocol."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from video_tool.cli.options import load_settings
from video_tool.cli.terminal import stderr_console
from video_tool.errors import QuestionError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765
TOKEN_VARIABLE = "VIDEO_TOOL_MCP_TOKEN"

_HTTP = "With --http"


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")] = False,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name or address of this machine to listen on; others than this machine's own need a token. "
            f"[dim](default: {DEFAULT_HOST})[/dim]",
            show_default=False,
            rich_help_panel=_HTTP,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help=f"Port; 0 for any that is free. [dim](default: {DEFAULT_PORT})[/dim]",
            show_default=False,
            rich_help_panel=_HTTP,
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What clients may call this machine besides; once for each name, such as that of a proxy before it.",
            show_default=False,
            rich_help_panel=_HTTP,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"File with the token that clients have to bring. [dim](default: what {TOKEN_VARIABLE} holds)[/dim]",
            show_default=False,
            rich_help_panel=_HTTP,
        ),
    ] = None,
) -> None:
    """Serve the tools to an agent that speaks MCP, until it hangs up.

    VIDEO_TOOL_MODEL names the model. Files of this machine are read only with VIDEO_TOOL_ALLOWED_ROOTS.
    """
    if not http and (host, port, allowed_host, token_file) != (None, None, None, None):
        raise QuestionError("--host, --port, --allowed-host and --token-file belong to --http", hint="Add --http")
    load_settings()  # what is wrong with them is told now, not to the model that calls

    from video_tool.adapters.mcp import require_sdk

    require_sdk()

    from video_tool.adapters import shared_toolbox
    from video_tool.adapters.mcp.server import ToolServer
    from video_tool.cli.diagnosis import own_version

    _log_to_stderr()
    tools = ToolServer(shared_toolbox(), version=own_version() or "", lists_frames=not http)
    if not http:
        from video_tool.adapters.mcp.stdio import serve_stdio

        if sys.stdin is not None and sys.stdin.isatty():
            stderr_console().print("MCP clients start this, and talk to it over standard input: see docs/mcp.md")
        asyncio.run(_until_terminated(serve_stdio(tools.server)))
        return

    from video_tool.adapters.mcp.http import address_of, http_app, listen, serve_http

    token = _token(token_file)
    listening = listen(host or DEFAULT_HOST, DEFAULT_PORT if port is None else port, has_token=token is not None)
    names = [_as_host(name) for name in ([host] if host else []) + (allowed_host or [])]
    stderr_console().print(f"serving at {address_of(listening)}")
    asyncio.run(serve_http(http_app(tools.server, hosts=names, token=token), listening))


def _token(file: Path | None) -> str | None:
    token = os.environ.get(TOKEN_VARIABLE)
    named = TOKEN_VARIABLE
    if file is not None:
        named = f"--token-file {file}"
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise QuestionError(f"{named} can't be read: {error}", hint="Give a file that holds one token") from error
    if token is None:
        return None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise QuestionError(
            f"{named} holds no token", hint="A token is ASCII without blanks: try `openssl rand -hex 32`"
        )
    return token


def _as_host(name: str) -> str:
    """As it stands in a Host header."""
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def _log_to_stderr() -> None:
    """What a model is not told about its errors, and who else failed, is for whoever runs this."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("video_tool").setLevel(logging.INFO)


async def _until_terminated(work: Coroutine[Any, Any, None]) -> None:
    """Ends the work in order on Ctrl-C and SIGTERM, instead of wherever the signal finds it."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    told: list[int] = []

    def end(number: int, _frame: object) -> None:
        told.append(number)
        loop.call_soon_threadsafe(task.cancel)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        await task
    except (asyncio.CancelledError, Exception):
        if not told:
            raise
        # the SDK may end with errors of streams that were closed while it passed on a message
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        signal.raise_signal(told[0])
