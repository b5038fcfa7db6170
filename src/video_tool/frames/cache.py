"""What was decoded, kept for the next question about the same video: it decodes nothing and opens nothing.

Frames stay in the memory that a worker has filled, and are mapped anew for each question: what one does to its frames
no other sees, and none are copied.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from video_tool.frames.header import Header
from video_tool.frames.reader import VideoMetadata
from video_tool.frames.wire import FrameMemory
from video_tool.sources import SourceFile

_MOST_HELD = 64
"""Memories, each of which takes a descriptor, of which a process may have a thousand."""
_SETTLED = 50_000_000
"""Nanoseconds: systems count the times of files in ticks of a few milliseconds, and a file may change twice in one."""
_TIMESTAMP_BYTES, _INDEX_BYTES = 8, 32
"""What a number takes in `VideoMetadata.timestamps`, and what one takes in a list."""

Identity: TypeAlias = tuple[str | int, ...]
"""What tells a file from any other, and from what it is after it changes."""


@dataclass(frozen=True)
class FrameSize:
    """The size in which frames are wanted.

    Attributes:
        width: pixels.
        height: pixels.
        resample: the filter, as Pillow numbers them (`PIL.Image.Resampling`).
    """

    width: int
    height: int
    resample: int


@dataclass(frozen=True)
class Learnt:
    """What is known of a file that was read.

    Attributes:
        header: what it says of itself.
        reader: which one read it.
        metadata: what that one found.
        places: keyframes and cuts, as far as they were asked for.
    """

    header: Header
    reader: str
    metadata: VideoMetadata
    places: dict[tuple[int | str, ...], list[int]] = field(default_factory=dict[tuple[int | str, ...], list[int]])

    @property
    def size(self) -> int:
        """Bytes."""
        indices = sum(map(len, self.places.values()))
        return _TIMESTAMP_BYTES * len(self.metadata.timestamps) + _INDEX_BYTES * indices


def identity_of(file: SourceFile, plugins: Sequence[str] | None) -> Identity | None:
    """By what a file is known again; None where it has changed only just, and might again without a trace.

    Downloads that are kept lie elsewhere for each question, as links to one file: that file counts, and not its path.

    Args:
        file: which file.
        plugins: whose readers may read it.
    """
    allowed = "all" if plugins is None else ",".join(plugins)
    if file.digest:
        return allowed, file.digest
    stat = file.path.stat()
    if 0 <= time.time_ns() - stat.st_mtime_ns < _SETTLED:
        return None
    return allowed, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


Which: TypeAlias = tuple[str, tuple[int, ...], FrameSize | None]
"""Frames of one file: their reader, indices and size."""


class FrameCache:
    """Frames, and what is known of their files; the least recently used make room for others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Identity, Which | None], Learnt | FrameMemory] = OrderedDict()

    def learnt(self, identity: Identity) -> Learnt | None:
        """What is known of a file."""
        with self._lock:
            found = self._find(identity, None)
            return found if isinstance(found, Learnt) else None

    def frames(self, identity: Identity, which: Which) -> NDArray[np.uint8] | None:
        """Frames of a file; changes of the array are seen nowhere else."""
        with self._lock:
            found = self._find(identity, which)
            return found.frames() if isinstance(found, FrameMemory) else None

    def learn(self, identity: Identity, learnt: Learnt, most: int) -> None:
        """Keeps what is known of a file, within `most` bytes of all that is kept."""
        self._keep(identity, None, learnt, most)

    def keep(self, identity: Identity, which: Which, memory: FrameMemory, most: int) -> None:
        """Keeps frames that a worker has written, within `most` bytes of all that is kept; takes the memory over."""
        self._keep(identity, which, memory, most)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._make_room(0)

    def renew(self) -> None:
        """In a forked process: another thread may have held the lock."""
        self._lock = threading.Lock()

    def _find(self, identity: Identity, which: Which | None) -> Learnt | FrameMemory | None:
        found = self._kept.get((identity, which))
        if found is not None:
            self._kept.move_to_end((identity, which))
        return found

    def _keep(self, identity: Identity, which: Which | None, thing: Learnt | FrameMemory, most: int) -> None:
        with self._lock:
            before = self._kept.pop((identity, which), None)
            if isinstance(before, FrameMemory):
                before.close()
            self._kept[identity, which] = thing
            self._make_room(most)

    def _make_room(self, most: int) -> None:
        taken = sum(thing.size for thing in self._kept.values())
        held = sum(isinstance(thing, FrameMemory) for thing in self._kept.values())
        while self._kept and (taken > most or held > _MOST_HELD):
            _, oldest = self._kept.popitem(last=False)
            taken -= oldest.size
            if isinstance(oldest, FrameMemory):
                held -= 1
                oldest.close()


CACHE = FrameCache()
"""All that this process keeps of what it has decoded."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CACHE.renew)
