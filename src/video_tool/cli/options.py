"""What several commands take, and how it reaches the engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, cast

import typer

from video_tool.errors import QuestionError

if TYPE_CHECKING:
    from video_tool.settings import Settings

_SAMPLING = "Which frames"
_HARDWARE = "Hardware"
_LOADING = "Where the model comes from"

DEFAULT_NUM_FRAMES = 8
"""The settings', which take too long to import for a page of help; a test holds the two together."""

# Bounds are left to the engine, which every way of asking goes through: typer's own checks would word them otherwise.
NumFrames = Annotated[
    int | None,
    typer.Option(
        help=f"Frames to look at, of each video. [dim](default: {DEFAULT_NUM_FRAMES})[/dim]", rich_help_panel=_SAMPLING
    ),
]
Fps = Annotated[
    float | None,
    typer.Option(help="Frames to look at per second of video, instead of --num-frames.", rich_help_panel=_SAMPLING),
]
Strategy = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="uniform: evenly spread; keyframes: the nearest that decode by themselves, which is quicker; "
        "scenes: some of every scene; or a plugin's, which video-tool plugins lists.",
        rich_help_panel=_SAMPLING,
    ),
]
Timestamps = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS,…",
        help="Look at the frames shown at these moments, such as 1.5,4,7, and no others.",
        rich_help_panel=_SAMPLING,
    ),
]
Start = Annotated[
    float | None, typer.Option(help="Seconds: look at nothing before this moment.", rich_help_panel=_SAMPLING)
]
End = Annotated[
    float | None, typer.Option(help="Seconds: look at nothing from this moment on.", rich_help_panel=_SAMPLING)
]
VisualTokens = Annotated[
    Literal["all", "pooled", "changed"],
    typer.Option(
        help="all; pooled: each two by two of a frame's tokens as one; changed: of further frames, what has changed.",
        rich_help_panel=_SAMPLING,
    ),
]
Fit = Annotated[
    Literal["error", "reduce"],
    typer.Option(
        help="When the frames don't fit into the model's context: error says how many would, reduce takes so many.",
        rich_help_panel=_SAMPLING,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A model of the Hugging Face hub, the folder of a checkpoint, or builtin: "
        "the small one in the package, which knows moving shapes only; openai:NAME for one on a server; "
        "others of this form for plugins, which video-tool plugins lists.",
        show_default=False,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the API of the server begins that runs openai:NAME, such as http://127.0.0.1:8000/v1; "
        "OPENAI_API_KEY holds its key, if it wants one.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, …", rich_help_panel=_HARDWARE)]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.", rich_help_panel=_HARDWARE)]
Attention = Annotated[str, typer.Option(help="auto, eager, sdpa, flash_attention_2, …", rich_help_panel=_HARDWARE)]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        help="auto, balanced, balanced_low_0 or sequential: spread the model over cards, main memory and disk.",
        rich_help_panel=_HARDWARE,
        show_default=False,
    ),
]
Quantize = Annotated[
    Literal["bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8"] | None,
    typer.Option("--quantization", help="Make the weights smaller.", rich_help_panel=_HARDWARE, show_default=False),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compile the model, which takes a minute and pays off later.", rich_help_panel=_HARDWARE
    ),
]
KVCache = Annotated[
    Literal["8bit"] | None,
    typer.Option(
        "--kv-cache", help="Keep a prompt's keys and values in 8 bits.", rich_help_panel=_HARDWARE, show_default=False
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(help="The model's branch, tag or commit on the hub.", rich_help_panel=_LOADING, show_default=False),
]
Adapter = Annotated[
    str | None,
    typer.Option(
        help="A LoRA adapter to put on the model, on the hub or in a folder.",
        rich_help_panel=_LOADING,
        show_default=False,
    ),
]
AdapterRevision = Annotated[
    str | None,
    typer.Option(help="The adapter's branch, tag or commit on the hub.", rich_help_panel=_LOADING, show_default=False),
]
TrustRemoteCode = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="The model's name, once more: run the code that its checkpoint brings. Read it, and pin --revision.",
        rich_help_panel=_LOADING,
        show_default=False,
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Ask the hub for nothing: its cache has all.", rich_help_panel=_LOADING)
]
Kind = Annotated[
    Literal["instruct", "chat", "base"] | None,
    typer.Option(
        help="How the model wants to be asked; a base model goes on with the question. Found out by default.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

NoCache = Annotated[bool, typer.Option("--no-cache", help="Download anew, and keep nothing; the cache is not touched.")]

VIDEO_HELP = "A URL, a path, or - for a file on stdin."


def load_settings(*, no_cache: bool = False) -> Settings:
    """The settings in force; a variable that makes no sense is the user's mistake, not ours."""
    from pydantic import ValidationError

    from video_tool.settings import Settings

    try:
        return Settings(cache_max_bytes=0) if no_cache else Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = "_".join(["VIDEO_TOOL", *(str(part).upper() for part in first["loc"])])
        raise QuestionError(
            f"{variable}={first['input']}: {first['msg']}", hint=f"Correct the variable {variable}, or unset it"
        ) from error


def read_timestamps(given: str | None) -> tuple[float, ...] | None:
    """Seconds joined by commas, as numbers."""
    try:
        return None if given is None else tuple(float(part) for part in given.split(","))
    except ValueError as error:
        raise QuestionError(
            f"--timestamps is {given}", hint="Give seconds joined by commas, such as 1.5,4,7"
        ) from error


def read_schema(path: Path) -> dict[str, Any]:
    """The JSON schema in a file; what it says is for the engine to judge."""
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QuestionError(
            f"--schema {path} can't be read: {error.strerror}", hint="Give the path of a file with a JSON schema"
        ) from error
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"--schema {path} is not JSON: {error}", hint="Correct the file") from error
    if not isinstance(schema, dict):
        raise QuestionError(f"--schema {path} holds no object", hint='A JSON schema looks like {"type": "object", …}')
    return cast("dict[str, Any]", schema)


def read_references(references: Sequence[str]) -> list[str | BinaryIO]:
    """References as the engine takes them: `-` becomes stdin."""
    if references.count("-") > 1:
        raise QuestionError("- was given twice", hint="stdin holds one file; give the others as paths or URLs")
    if "-" in references and (sys.stdin is None or sys.stdin.isatty()):
        raise QuestionError("- stands for a file on stdin, and there is none", hint="Try: video-tool … - < video.mp4")
    return [sys.stdin.buffer if reference == "-" else reference for reference in references]
