"""The process in which videos are decoded: decoders may crash or hang on a bad file, and this one can be killed.

It reads a request (JSON) from standard input and writes one line of JSON to standard output: the metadata
and, where frames were asked for, which they are; their bytes follow the line. An error is a line too.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from video_tool.errors import VideoToolError
from video_tool.frames.decord import DecordReader
from video_tool.frames.header import read_header, shortcomings
from video_tool.frames.pyav import PyAVReader
from video_tool.frames.reader import VideoReader
from video_tool.frames.sampling import select
from video_tool.question import Sampling
from video_tool.settings import Settings

READERS: dict[str, type[VideoReader]] = {reader.name: reader for reader in (DecordReader, PyAVReader)}
"""By name, in the order in which they are tried."""


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], memoryview]:
    """What the request asks for: the header, and the frames' bytes."""
    reader = READERS[request["reader"]](Path(request["path"]))
    metadata = reader.metadata()
    declared = read_header(Path(request["path"]))
    header: dict[str, Any] = {"metadata": asdict(metadata), "codec": declared.codec}
    header["shortcomings"] = shortcomings(request["name"], metadata, declared)
    if request["sampling"] is None:
        return header, memoryview(b"")
    selection = select(
        metadata.timestamps,
        metadata.duration,
        Sampling.model_validate(request["sampling"]),
        Settings.model_validate(request["settings"]),
        request["name"],
    )
    frames = reader.frames(selection.indices)
    header |= {"shape": frames.shape, "indices": selection.indices, "warnings": selection.warnings}
    return header, frames.data


def main() -> None:
    """Answers the one request on standard input."""
    # decoders print to standard output when they please: keep it for the answer alone
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        try:
            request = json.load(sys.stdin)
            if hasattr(signal, "alarm"):
                # a decoder that hangs may outlive the process that would have killed it
                signal.alarm(math.ceil(request["seconds"]) + 1)
            header, frames = answer(request)
        except VideoToolError as error:
            header = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
            frames = memoryview(b"")
        out.write(json.dumps(header).encode() + b"\n")
        out.write(frames)


if __name__ == "__main__":
    main()
