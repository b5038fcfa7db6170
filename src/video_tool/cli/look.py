"""`video-tool frames` and `video-tool probe`: a video without a model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from video_tool.cli.options import (
    VIDEO_HELP,
    AsJson,
    End,
    Fps,
    NoCache,
    NumFrames,
    Start,
    Strategy,
    Timestamps,
    load_settings,
    read_references,
    read_timestamps,
)
from video_tool.cli.progress import shown_progress
from video_tool.cli.terminal import one_line, print_json, stderr_console
from video_tool.errors import QuestionError, VideoTooLargeError, VideoToolError

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

Video = Annotated[str, typer.Argument(metavar="VIDEO", help=VIDEO_HELP, show_default=False)]


def frames(
    video: Video,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="SHEET", help="The picture to write: .png, .jpg or .webp."),
    ],
    num_frames: NumFrames = None,
    fps: Fps = None,
    strategy: Strategy = "uniform",
    timestamps: Timestamps = None,
    start: Start = None,
    end: End = None,
    columns: Annotated[int | None, typer.Option(help="Frames in a row.", min=1)] = None,
    no_cache: NoCache = False,
) -> None:
    """Draw the frames that a model would be shown on one picture, with their timestamps."""
    picture_format = _FORMATS.get(output.suffix.lower())
    if picture_format is None:
        raise QuestionError(
            f"a contact sheet can't be written as {output.name}", hint=f"Name it one of *{', *'.join(_FORMATS)}"
        )
    settings = load_settings(no_cache=no_cache)
    (reference,) = read_references([video])

    from video_tool.frames import read_video
    from video_tool.frames.contact_sheet import contact_sheet
    from video_tool.question import Sampling

    sampling = Sampling(
        num_frames=num_frames,
        fps=fps,
        strategy=strategy,
        timestamps=read_timestamps(timestamps),
        start=start,
        end=end,
    )
    with shown_progress() as on_progress:
        read = read_video(reference, sampling, settings, on_progress)
        encoded = io.BytesIO()
        contact_sheet(read, columns).save(encoded, picture_format)
    try:
        output.write_bytes(encoded.getvalue())
    except OSError as error:
        raise VideoToolError(
            f"{output} can't be written: {error.strerror}", hint="Name another place with --output"
        ) from error

    from video_tool.cli.receipt import video_line

    console = stderr_console()
    console.print(video_line(read.info, len(read.indices)))
    for warning in read.warnings:
        console.print("warning:", one_line(warning), style="yellow")


def probe(video: Video, as_json: AsJson = False, no_cache: NoCache = False) -> None:
    """Say what a video is, stream by stream, and whether it is within the limits.

    Exits as a question about it would: with 0 when it would be looked at.
    """
    settings = load_settings(no_cache=no_cache)
    (reference,) = read_references([video])

    from video_tool.frames import probe_video

    with shown_progress() as on_progress:
        report = probe_video(reference, settings, on_progress)
    if as_json:
        print_json(report.model_dump_json(indent=2, exclude_none=True))
    else:
        from video_tool.cli.report import print_report

        print_report(report)
    if report.refusal:
        raise VideoTooLargeError(report.refusal.message, hint=report.refusal.hint)
