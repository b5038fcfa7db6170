"""Readers: for files that say themselves what becomes of it, and one that some files are too much for."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool.errors import DecodeError
from video_tool.frames.decord import DecordReader
from video_tool.frames.reader import Limits, VideoFile, VideoMetadata, VideoReader
from video_tool.plugins import hookimpl

MAGIC = b"SCRIPTED VIDEO\n"
COUNT, SIZE = 40, (32, 48)
"""Frames, height and width."""


class ScriptedReader:
    """Reads what `write_scripted` writes: 40 frames, each of one grey, its number."""

    def __init__(self, file: VideoFile, limits: Limits) -> None:
        self._opened = file.path.open("rb")
        self._script = self._opened.read().removeprefix(MAGIC).decode()

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        return file.first.startswith(MAGIC)

    def metadata(self) -> VideoMetadata:
        self._act("in metadata")
        height, width = SIZE
        timestamps: Any = tuple(i / 10 for i in range(COUNT))
        if self._script == "no timestamps":
            timestamps = ()
        if self._script == "falling timestamps":
            timestamps = timestamps[::-1]
        return VideoMetadata(width, height, timestamps, COUNT / 10)

    def keyframes(self) -> Sequence[int]:
        self._act("in keyframes")
        return [7, 3] if self._script == "falling keyframes" else range(0, COUNT, 10)

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        self._act("in frames")
        size = (SIZE[0] + 1, SIZE[1]) if self._script == "another size" else SIZE
        for index in indices:
            yield np.full((*size, 3), index, np.uint8)

    def _act(self, where: str) -> None:
        action, _, place = self._script.partition(" ")
        if not place.startswith(where):
            return
        match action:
            case "hang":
                time.sleep(10**6)
            case "hold":  # the interpreter's lock, as decord does
                pow(3, 10**9)
            case "abort":
                os.abort()
            case "exit":
                os._exit(0)
            case "grab":
                np.ones(1 << 40, np.uint8)
            case "raise":
                raise ZeroDivisionError("of its own")
            case "give-up":
                raise DecodeError("it is not to its taste")
            case "connect":
                socket.create_connection(("127.0.0.1", int(place.split()[-1])))
            case "talk":
                os.write(2, b"x" * (1 << 20))


def write_scripted(path: Path, script: str = "") -> Path:
    """A file for the reader; `script` is an action and where it happens, such as `hang in frames`."""
    path.write_bytes(MAGIC + script.encode())
    return path


class Stubborn(DecordReader):
    """Keeps to decord, whatever becomes of it."""

    @classmethod
    def reads(cls, file: VideoFile) -> bool:
        return file.container == "mpegts"


@hookimpl
def readers() -> dict[str, type[VideoReader]]:
    return {"scripted": ScriptedReader} | ({"stubborn": Stubborn} if "STUBBORN" in os.environ else {})
