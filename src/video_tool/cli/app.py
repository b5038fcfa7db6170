"""The program: its commands, errors as one line, exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from video_tool.cli.ask import ask
from video_tool.cli.cache import cache
from video_tool.cli.doctor import doctor
from video_tool.cli.fetch import fetch
from video_tool.cli.look import frames, probe
from video_tool.cli.mcp import mcp
from video_tool.cli.plugins import plugins
from video_tool.cli.schema import schema
from video_tool.cli.terminal import fail, prepare_process
from video_tool.errors import VideoToolError

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

_EXIT_CODES = """\
[bold]Exit codes[/bold]
  0    all went well
  1    something is missing (doctor), damaged (cache verify) or broken (plugins), or anything else failed
  2    the command line or the question makes no sense
  3    a video or image can't be had
  4    a file was had, but no frames come out of it
  5    question and media don't make a prompt
  6    the model can't be loaded, or can't answer
  7    an optional package is missing
  130  interrupted; 143 when terminated

[bold]Settings[/bold]
  VIDEO_TOOL_MODEL and other variables set the defaults; doctor shows all of them."""

app = typer.Typer(
    name="video-tool",
    help="Ask questions about videos.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    # An exception that nobody expected is a bug: Python's own traceback is what a report of it needs.
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from video_tool.cli.diagnosis import own_version

    typer.echo(f"video-tool {own_version() or '(not installed, run from its source)'}")
    raise typer.Exit


@app.callback()
def video_tool(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask questions about videos."""


app.command(no_args_is_help=True)(ask)
app.command(no_args_is_help=True)(frames)
app.command(no_args_is_help=True)(probe)
app.command(no_args_is_help=True)(fetch)
app.add_typer(cache, name="cache")
app.command()(mcp)
app.command()(schema)
app.command()(plugins)
app.command()(doctor)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    prepare_process()
    # Leaving as Python does lets the engine remove its temporary files and stop its processes.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(TERMINATED))
    try:
        app(args, prog_name="video-tool")
    except VideoToolError as error:
        fail(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)
