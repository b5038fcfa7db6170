"""What a video is, for a person."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from video_tool.cli.terminal import one_line, print_rendered
from video_tool.frames.report import Ceiling, StreamInfo, VideoReport


def print_report(report: VideoReport) -> None:
    """File, video, streams, limits and warnings, on stdout."""
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, line in _rows(report):
        table.add_row(label, Text(line) if isinstance(line, str) else line)
    print_rendered(table)


def _rows(report: VideoReport) -> Iterator[tuple[str | Text, str | Text]]:
    size = f" · {decimal(report.size_bytes)}" if report.size_bytes else ""
    rate = f" · {_bit_rate(report.bit_rate)}" if report.bit_rate else ""
    kept = " · from the cache" if report.video and report.video.from_cache else ""
    yield "file", Text.assemble((one_line(report.name), "bold"), f" · {report.container}{size}{rate}{kept}")
    if info := report.video:
        keys = f" ({report.keyframes} of them decode without others)" if report.keyframes else ""
        yield "video", f"{info.width}×{info.height} · {info.duration:.2f} s · {info.total_frames} frames{keys}"
        yield "", f"{info.fps:.2f} frames a second on average · read by {info.reader}"
    for stream in report.streams:
        yield f"stream {stream.index}", Text(" · ".join(_stream(stream)), style="" if stream.read else "dim")
    for ceiling in report.ceilings:
        yield ceiling.setting, _ceiling(ceiling)
    for warning in report.warnings:
        yield Text("warning", style="yellow"), one_line(warning)
    if not report.refusal:
        yield "", Text("✓ within the limits", style="green")


def _stream(stream: StreamInfo) -> Iterator[str]:
    language = f" ({one_line(stream.language)})" if stream.language else ""
    yield f"{stream.kind}{language}"
    coded = (stream.codec or "no decoder", stream.profile, stream.pixel_format)
    yield one_line(" ".join(part for part in coded if part))
    if stream.width:
        yield f"{stream.width}×{stream.height} stored"
    if stream.pixel_aspect not in (None, "1:1"):
        yield f"pixels {stream.pixel_aspect}"
    if stream.rotation:
        yield f"turned {stream.rotation:g}°"
    if stream.fps:
        yield f"{stream.fps:.2f} fps"
    if stream.transfer:
        yield stream.transfer
    if stream.sample_rate:
        yield f"{stream.sample_rate} Hz, {stream.channels} channel{'s' if stream.channels != 1 else ''}"
    if stream.bit_rate:
        yield _bit_rate(stream.bit_rate)
    if stream.read:
        yield "read"


def _bit_rate(bits: float) -> str:
    return f"{bits / 1000:.0f} kbit/s" if bits >= 1000 else f"{bits:.0f} bit/s"


def _ceiling(ceiling: Ceiling) -> Text:
    value = "not known" if ceiling.value is None else f"{ceiling.value:,.10g}"
    return Text(f"{value} of {ceiling.ceiling:,.10g}", style="red" if ceiling.exceeded else "")
