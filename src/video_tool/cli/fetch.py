"""`video-tool fetch`: a download, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from video_tool.cli.options import NoCache, load_settings
from video_tool.cli.progress import shown_progress
from video_tool.cli.terminal import one_line, print_path, stderr_console
from video_tool.errors import QuestionError, VideoToolError

_ANOTHER_PLACE = "Name another place with --output"


def fetch(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="A video's or image's, that of a page, or one of a plugin's.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to put it: a file, which is replaced, or a folder. "
            "[dim](default: the working directory, under the URL's name)[/dim]",
            show_default=False,
        ),
    ] = None,
    no_cache: NoCache = False,
) -> None:
    """Download a video or image as a question would, and print the path of the file.

    The file is a copy that is yours: it stays when the cache is cleared or makes room.
    """
    settings = load_settings(no_cache=no_cache)

    from video_tool.sources import open_source
    from video_tool.sources.plugged import plugged_source
    from video_tool.sources.policy import scheme_of

    if scheme_of(url) is None and plugged_source(url, settings) is None:
        raise QuestionError(f"{one_line(url)} is no URL", hint="Give one that begins with https:// or http://")
    target = _target(url, output)
    with shown_progress() as on_progress, open_source(url, settings, on_progress) as file:
        _copy(file.path, target)
        size = target.stat().st_size
    print_path(target)

    from rich.filesize import decimal

    console = stderr_console()
    console.print(f"{one_line(file.name)} · {decimal(size)}{' · from the cache' if file.from_cache else ''}")
    for warning in file.warnings:
        console.print("warning:", one_line(warning), style="yellow")


def _target(url: str, output: Path | None) -> Path:
    if output is not None and not output.is_dir():
        return output.absolute()

    from video_tool.sources.naming import file_name

    target = (output or Path()).absolute() / file_name(url)
    if target.exists():
        raise VideoToolError(f"{target} is there already", hint=_ANOTHER_PLACE)
    return target


def _copy(file: Path, target: Path) -> None:
    # Under its name only when it is whole.
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            shutil.copyfile(file, draft)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise VideoToolError(f"{target} can't be written: {error.strerror}", hint=_ANOTHER_PLACE) from error
