"""A source: files on a shelf, which is the folder that a variable names; some references behave badly."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from video_tool.errors import SourceRefusedError
from video_tool.plugins import hookimpl
from video_tool.settings import Settings


class Endless(io.RawIOBase):
    """Zeros for ever."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


class TornOff(Endless):
    """Fails in the middle."""

    def read(self, size: int = -1) -> bytes:
        if self.closed:
            raise ValueError("closed")
        raise ConnectionResetError(104, "the shelf fell down")


def open_on_shelf(reference: str, settings: Settings) -> BinaryIO:
    name = reference.partition(":")[2].lstrip("/").partition("?")[0]
    match name:
        case "endless":
            return Endless()  # type: ignore[return-value]
        case "torn":
            return TornOff()  # type: ignore[return-value]
        case "text":
            return io.StringIO("words")  # type: ignore[return-value]
        case "nothing":
            return None  # type: ignore[return-value]
        case "broken":
            raise ZeroDivisionError("of its own, at https://user:hunter2@shelf.example/a?key=hunter2")
        case "locked":
            raise PermissionError(13, "no key")
        case "private":
            raise SourceRefusedError("it is nobody's business", hint="Ask for another.")
        case _:
            return (Path(os.environ["SHELF"]) / name).open("rb")


@hookimpl
def sources() -> dict[str, Callable[[str, Settings], BinaryIO]]:
    return {"shelf": open_on_shelf}
