"""The folder in which downloads are kept, for all processes of one user.

    objects/<SHA-256 of the content>    files, each complete
    entries/<key>.json                  what was asked for, and which object answers it
    locks/<key>.lock                    held by whoever fetches that
    work/<random>/                      of one reader each, who holds work/<random>.lock

Files get into and out of it by hard links. A download is written to its reader's work folder and linked to `objects`
once it is whole and on the disk; a reader works with a link in a work folder. So nothing partial is ever found, and
what somebody has open outlives its eviction, on every file system with hard links. (Shared locks on objects would do
for that, but Windows has others, and downloads need work folders anyway.) A work folder whose lock nobody holds is what
a killed process has left, and goes. Locks are the operating system's, and end with the process that holds them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import Timeout

from video_tool.cancellation import check
from video_tool.sources.entries import Entries, Entry, KeptEntry, flush
from video_tool.sources.freshness import Freshness
from video_tool.sources.locking import (
    held_if_free,
    held_in_turn,
    sweep_work_folders,
    unlink_unless_open,
    work_folder,
)

PATIENCE = 20.0
"""Seconds to wait for other processes' changes to the folder, which take milliseconds each where the disk is quick."""

_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Verification:
    """What hashing all files has found.

    Attributes:
        files: how many are as they were stored.
        bytes: their size.
        damaged: the addresses whose files are not, or are missing; they have been removed.
    """

    files: int
    bytes: int
    damaged: tuple[str, ...]


class Store:
    """Downloads in a folder, the least recently used of which make room for new ones.

    Every method may raise OSError: the folder can't be read or written, or its lock not be had.

    Args:
        folder: belongs to the store alone.
        max_bytes: most bytes of all files in it.
        patience: seconds to wait for the store's lock.
    """

    def __init__(self, folder: Path, max_bytes: int, patience: float = PATIENCE) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._patience = patience
        self._objects = folder / "objects"
        self._entries = Entries(folder / "entries")
        self._locks = folder / "locks"
        self._work = folder / "work"

    def prepare(self) -> None:
        """Make the folders that are missing, readable to nobody else.

        Raises:
            OSError: that can't be done, or the folder is somebody else's, who could have put anything into it.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name != "nt":
            status = self.folder.stat()
            if status.st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "it belongs to another user")
            if status.st_mode & 0o077:
                self.folder.chmod(0o700)
        for folder in (self._objects, self._entries.folder, self._locks, self._work):
            folder.mkdir(mode=0o700, exist_ok=True)

    def work_folder(self) -> AbstractContextManager[Path]:
        """A folder on the store's file system, removed after the with-block."""
        return work_folder(self._work)

    def turn(self, key: str, timeout: float) -> AbstractContextManager[None]:
        """Be the only one to fetch something, for the length of a with-block.

        Raises:
            filelock.Timeout: another was at it for `timeout` seconds.
        """
        return held_in_turn(self._locks / f"{key}.lock", timeout)

    def find(self, key: str) -> Entry | None:
        """Return what was kept for a request; None when nothing was, or nobody can read it."""
        return self._entries.find(key)

    def check_out(self, key: str, entry: Entry, target: Path) -> bool:
        """Link the file of an entry to `target` and note that it was used.

        Returns:
            Whether it is there, in its full size.
        """
        target.unlink(missing_ok=True)
        try:
            os.link(self._objects / entry.sha256, target)
        except FileNotFoundError:  # evicted a moment ago
            return False
        self._entries.touch(key)
        return target.stat().st_size == entry.size

    def keep(self, key: str, name: str, file: Path, freshness: Freshness) -> bool:
        """Keep a download, and evict as much as that takes of what was not used for longest.

        Args:
            key: what it answers.
            name: the address, without what may be secret in it.
            file: in a work folder; it stays there, too.
            freshness: how long it needs no asking.

        Returns:
            False when there is no room for it, however much is evicted.
        """
        with file.open("rb") as content:
            sha256 = _sha256(content)
            size = content.tell()
        flush(file)
        entry = Entry(name=name, sha256=sha256, size=size, fetched=time.time(), freshness=freshness)
        linked = file.with_name(f"{file.name}.{sha256}")
        with self._changes():
            if not self._make_room(size, sha256):
                return False
            os.link(file, linked)
            linked.replace(self._objects / sha256)
            flush(self._objects)
            self._entries.write(key, entry, file.parent)
        return True

    def renew(self, key: str, entry: Entry, folder: Path) -> None:
        """Replace an entry by one about the same file.

        Args:
            key: what it answers.
            entry: the new one.
            folder: a work folder.
        """
        with self._changes():
            self._entries.write(key, entry, folder)

    def forget(self, key: str) -> None:
        """Remove what was kept for a request."""
        with self._changes():
            self._entries.remove(key)
            self._remove_loose()

    def sweep(self) -> None:
        """Remove what processes that were killed have left, and nothing of those at work."""
        with self._changes():
            sweep_work_folders(self._work)
            for lock in self._locks.glob("*.lock"):
                if lock.stem not in self._entries:
                    with held_if_free(lock) as held:
                        if held:
                            unlink_unless_open(lock)
            self._remove_loose()

    def kept(self) -> list[tuple[Entry, float]]:
        """Return all entries and when each was last used (seconds since 1970), the most recent first."""
        found = [(kept.entry, kept.used) for kept in self._entries if kept.entry]
        return sorted(found, key=lambda pair: pair[1], reverse=True)

    def size(self) -> int:
        """Return the bytes of all files in the store."""
        return sum(self._sizes().values())

    def clear(self) -> int:
        """Remove everything; who has a file in use keeps it until then.

        Returns:
            The bytes of the files that were removed.
        """
        with self._changes():
            for kept in self._entries:
                kept.path.unlink()
            removed = self._remove_loose()
        self.sweep()
        return removed

    def verify(self) -> Verification:
        """Hash every file, and remove those that are not what was stored."""
        good: dict[str, int] = {}
        bad: set[str] = set()
        for name in self._sizes():
            path = self._objects / name
            with suppress(FileNotFoundError), path.open("rb") as content:
                if _sha256(content) == name:
                    good[name] = content.tell()
                    continue
                with self._changes():
                    if os.path.samestat(os.fstat(content.fileno()), path.stat()):  # no new download has replaced it
                        bad.add(name)
        damaged: list[KeptEntry] = []
        with self._changes():
            there = self._sizes()
            for kept in self._entries:
                if kept.entry is None or kept.entry.sha256 in bad or there.get(kept.entry.sha256) != kept.entry.size:
                    damaged.append(kept)
                    kept.path.unlink()
        self.sweep()
        names = tuple(kept.entry.name if kept.entry else f"the entry {kept.path.stem}" for kept in damaged)
        return Verification(len(good), sum(good.values()), names)

    @contextmanager
    def _changes(self) -> Generator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(held_in_turn(self.folder / "store.lock", self._patience, 0.01))
            except Timeout as error:
                raise BlockingIOError(errno.EBUSY, "another process does not let go of it") from error
            yield

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for path in self._objects.glob("*"):
            with suppress(FileNotFoundError):  # evicted a moment ago
                sizes[path.name] = path.stat().st_size
        return sizes

    def _make_room(self, size: int, sha256: str) -> bool:
        if size > self.max_bytes:
            return False
        users: dict[str, list[KeptEntry]] = {}
        for kept in self._entries:
            if kept.entry:
                users.setdefault(kept.entry.sha256, []).append(kept)
        others = {name: length for name, length in self._sizes().items() if name != sha256}
        total = sum(others.values()) + size
        for name in sorted(others, key=lambda name: max((kept.used for kept in users.get(name, ())), default=0.0)):
            if total <= self.max_bytes:
                break
            for kept in users.get(name, ()):
                kept.path.unlink()
            if unlink_unless_open(self._objects / name):
                total -= others[name]
        return total <= self.max_bytes

    def _remove_loose(self) -> int:
        """Removes entries without a file and files without an entry; returns the bytes of the latter."""
        sizes = self._sizes()
        wanted: set[str] = set()
        for kept in self._entries:
            if kept.entry is None or kept.entry.sha256 not in sizes:
                kept.path.unlink()
            else:
                wanted.add(kept.entry.sha256)
        loose = [name for name in sizes if name not in wanted and unlink_unless_open(self._objects / name)]
        return sum(sizes[name] for name in loose)


def _sha256(content: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := content.read(_BLOCK):
        check()
        digest.update(block)
    return digest.hexdigest()
