"""What is known of each download that is kept: small files, each of which is whole at any moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from video_tool.sources.freshness import Freshness


class Entry(BaseModel):
    """One kept download.

    Attributes:
        name: the address, without what may be secret in it.
        sha256: of the content; its file is called so.
        size: bytes.
        fetched: when it was downloaded, in seconds since 1970.
        freshness: how long it needs no asking.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    size: int
    fetched: float
    freshness: Freshness


@dataclass(frozen=True)
class KeptEntry:
    """An entry as it lies in the folder.

    Attributes:
        path: where.
        entry: what it says; None when that can't be read.
        used: when it was last used, in seconds since 1970. That is the file's time of modification, which no mount
            option switches off.
    """

    path: Path
    entry: Entry | None
    used: float


class Entries:
    """A folder of entries, by the keys of requests. Methods may raise OSError.

    Args:
        folder: theirs alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[KeptEntry]:
        for path in self.folder.glob("*.json"):
            with suppress(FileNotFoundError):  # removed a moment ago
                yield KeptEntry(path, _read(path), path.stat().st_mtime)

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def find(self, key: str) -> Entry | None:
        """Return an entry; None when there is none that can be read."""
        return _read(self._path(key))

    def touch(self, key: str) -> None:
        """Note that an entry was used now."""
        with suppress(FileNotFoundError):
            os.utime(self._path(key))

    def write(self, key: str, entry: Entry, work_folder: Path) -> None:
        """Add or replace an entry.

        Args:
            key: of the request.
            entry: what to write.
            work_folder: on the same file system, for the time until it is whole.
        """
        draft = work_folder / "entry.json"
        draft.write_text(entry.model_dump_json())
        flush(draft)
        draft.replace(self._path(key))
        flush(self.folder)

    def remove(self, key: str) -> None:
        """Remove an entry, if it is there."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def flush(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk before anything that is done after this."""
    if path.is_dir() and os.name == "nt":  # which can't, and does so by itself
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Entry | None:
    try:
        return Entry.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
