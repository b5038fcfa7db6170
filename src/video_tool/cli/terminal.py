"""Where things are printed, and what other packages may not print."""

from __future__ import annotations

import io
import logging
import os
import sys
import unicodedata
import warnings
from typing import TYPE_CHECKING, Any

import typer

from video_tool.errors import PluginWarning, VideoToolError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType


def prepare_process() -> None:
    """Keep stdout for results and stderr for our own lines; only for a process that is all ours.

    Variables that the user has set win, so that `TRANSFORMERS_VERBOSITY=info video-tool …` still tells more.
    """
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes that are no text, and an answer letters that an old terminal lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Read when these packages are imported, which no command has done yet.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    # without it, the hub's client asks the hub for a list of agents, to tell it which one runs this
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PluginWarning)
        warnings.showwarning = _show_warning
    # With no handler at all, Python prints warnings that are logged to stderr.
    logging.getLogger().addHandler(logging.NullHandler())


def _show_warning(message: Warning | str, *_: Any) -> None:
    stderr_console().print("warning:", one_line(str(message)), style="yellow")


def stderr_console() -> Console:
    """A console for what is not the result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(document: str) -> None:
    """JSON is UTF-8, whatever the terminal's encoding."""
    _print(document.encode(errors="backslashreplace"))


def print_text(text: str) -> None:
    """Words that may hold anything, such as a model's: no control sequences for the terminal come out of them."""
    _print("".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) != "Cc"))


def print_path(path: Path) -> None:
    """A path as the system has it, so that it can be opened."""
    _print(os.fsencode(path))


def print_rendered(*shown: RenderableType) -> None:
    """Tables and styled text; plain where nobody looks."""
    from rich.console import Console

    # not to stdout: where that can't be written, rich raises what it likes
    page = io.StringIO()
    console = Console(file=page, force_terminal=sys.stdout.isatty(), highlight=False, emoji=False)
    for each in shown:
        console.print(each)
    _print("\n".join(line.rstrip() for line in page.getvalue().splitlines()))


def _print(result: str | bytes) -> None:
    try:
        typer.echo(result)
    except BrokenPipeError:  # whoever read it has seen enough: typer leaves quietly
        raise
    except OSError as error:
        raise VideoToolError(f"stdout can't be written: {error.strerror}", hint="See where it leads") from error


def one_line(text: str) -> str:
    """The text with line breaks as spaces, and with what can't be printed as escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in " ".join(text.split())
    )


def fail(error: VideoToolError) -> None:
    """Print an error as one line: what happened, then what to do."""
    sentences = [one_line(part).rstrip(".") for part in (error.message, error.hint) if part]
    typer.echo(f"{typer.style('video-tool:', fg='red', bold=True)} {'. '.join(sentences)}", err=True)
