"""What an answer rests on, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from video_tool.cli.terminal import one_line

if TYPE_CHECKING:
    from video_tool.answer import FrameStamp, ModelInfo, VideoAnswer, VideoInfo

_MOST_STAMPS = 16
_WORTH_TELLING = 0.01  # seconds


def receipt(answer: VideoAnswer) -> Table:
    """Videos with the frames that were read, model, tokens, seconds and warnings, one row each."""
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for number, info in enumerate(answer.videos):
        stamps = [frame for frame in answer.frames if frame.video == number]
        label = "video" if len(answer.videos) == 1 else f"video {number + 1}"
        table.add_row(label, video_line(info, len(stamps)))
        table.add_row("", Text(_moments(stamps), style="cyan"))
    if answer.images:
        table.add_row("images", Text(str(answer.images)))
    model = answer.model
    revision = f" @ {model.revision[:12]}" if model.revision else ""
    table.add_row(
        "model",
        Text(" · ".join([f"{one_line(model.id)}{revision}", *_how(model)])),
    )
    usage = answer.usage
    if usage.text_tokens is not None:
        prompt = "prompt" if usage.visual_tokens is None else f"visual + {usage.text_tokens} text"
        count = usage.text_tokens if usage.visual_tokens is None else usage.visual_tokens
        if usage.unreduced_visual_tokens is not None:
            count = f"{count} of {usage.unreduced_visual_tokens}"
        known = answer.prefix_cache.tokens if answer.prefix_cache else 0
        spared = f" · {known} from the prefix cache" if known else ""
        table.add_row("tokens", Text(f"{count} {prompt} → {usage.new_tokens} new{spared}"))
    table.add_row("seconds", _seconds(answer))
    for choice in answer.choices:
        table.add_row("choice", Text(f"{exp(choice.log_probability):7.2%}  {one_line(choice.text)}"))
    for warning in answer.warnings:
        table.add_row(Text("warning", style="yellow"), Text(one_line(warning)))
    limit = {"length": "--max-new-tokens", "time": "--max-seconds"}.get(answer.finish_reason)
    if limit:
        after = "" if usage.new_tokens is None else f" after {usage.new_tokens} new tokens"
        table.add_row(Text("warning", style="yellow"), Text(f"cut off{after}; {limit} allows more"))
    return table


def _how(model: ModelInfo) -> Iterator[str]:
    """Where the model ran, and what was done to it."""
    yield model.device if model.device_map is None else " + ".join(dict.fromkeys(model.device_map.values()))
    yield from filter(None, (model.dtype, model.attention))
    yield model.kind
    if model.quantization:
        yield model.quantization
    if model.adapter:
        yield f"adapter {one_line(model.adapter)}"
    if model.kv_cache:
        yield f"{model.kv_cache} KV cache"
    if model.compiled:
        yield "compiled"
    if model.remote_code:
        yield "with code of its own"


def video_line(info: VideoInfo, frames: int) -> Text:
    """Name, size and length of a video, and how much of it was looked at."""
    codec = f" · {info.codec}" if info.codec else ""
    return Text.assemble(
        (one_line(info.name), "bold"),
        f" · {info.width}×{info.height} · {info.duration:.2f} s{codec} · {frames} of {info.total_frames} frames",
        " · from the cache" if info.from_cache else "",
    )


def _moments(stamps: Sequence[FrameStamp]) -> str:
    shown = [f"{stamp.timestamp:.2f}" for stamp in stamps]
    if len(shown) > _MOST_STAMPS:
        shown = [*shown[: _MOST_STAMPS - 3], "…", *shown[-2:]]
    return f"at {', '.join(shown)} s"


def _seconds(answer: VideoAnswer) -> Text:
    timings = answer.timings.model_dump()
    total = timings.pop("total")
    spent = " · ".join(f"{stage} {seconds:.2f}" for stage, seconds in timings.items() if seconds >= _WORTH_TELLING)
    return Text.assemble(f"{total:.2f}", (f"  {spent}", "dim"))
