"""When the frames of an MP4 or QuickTime file are shown, as its tables say: of a film nothing else has to be read.

FFmpeg tells from these tables when frames are decoded, not when they are shown: the difference, box `ctts`, it keeps
to itself. Boxes are described in ISO/IEC 14496-12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_FOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
_MOST_BOXES = 10_000
_ENTRY = np.dtype([("decoded", np.int64), ("key", np.bool_), ("discarded", np.bool_)])


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    """Where its content begins."""
    size: int
    """Bytes of its content."""


def shown_times(file: BinaryIO, stream: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    """When each frame is shown, in units of the stream and in the order of decoding, and whether it is a keyframe.

    None where the tables don't tell for sure: in files of fragments, and where an edit list puts parts together.

    Args:
        file: the file, opened for reading.
        stream: of the same file, as PyAV has it.
    """
    entries = stream.index_entries
    try:
        tables = _tables(file, stream.id, len(entries))
        offsets = tables and _offsets(len(entries), *tables)
    except (struct.error, ValueError, OSError):
        return None
    if offsets is None:
        return None
    told = np.fromiter(((entry.timestamp, entry.is_keyframe, entry.is_discard) for entry in entries), _ENTRY)
    told["decoded"] += offsets
    kept = told[~told["discarded"]]
    return kept["decoded"], kept["key"]


def _tables(file: BinaryIO, track: int, frames: int) -> tuple[bytes, bytes] | None:
    """Of a track with so many frames: its boxes `ctts` and `elst`, which may be empty; None where that is another."""
    number, counted, found = 0, 0, {b"ctts": b"", b"elst": b""}
    for box in _boxes(file):
        if box.kind in (b"mvex", b"moof"):  # more frames follow in fragments
            return None
        if box.kind == b"tkhd":
            version = _read(file, box, 0, 1)[0]
            (number,) = struct.unpack(">I", _read(file, box, 20 if version else 12, 4))
        elif number != track:
            continue
        elif box.kind in (b"stsz", b"stz2"):
            (counted,) = struct.unpack(">I", _read(file, box, 8, 4))
        elif box.kind in found:
            if box.size > 8 + 8 * max(frames, 64):
                return None
            found[box.kind] = _read(file, box, 0, box.size)
    return (found[b"ctts"], found[b"elst"]) if counted == frames > 0 else None


def _boxes(file: BinaryIO) -> Iterator[_Box]:
    """The boxes of a file down to those that say something about frames."""
    size = file.seek(0, 2)
    ends = [size]
    at = 0
    for _ in range(_MOST_BOXES):
        while at + 8 > ends[-1]:
            at = ends.pop()
            if not ends:
                return
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        elif length == 0:
            length = ends[-1] - at
        if length < head or at + length > ends[-1]:
            raise ValueError("a box is larger than what it lies in")
        if kind in _FOLDERS:
            ends.append(at + length)
            at += head
            continue
        yield _Box(kind, at + head, length - head)
        at += length
    raise ValueError("too many boxes")


def _read(file: BinaryIO, box: _Box, start: int, length: int) -> bytes:
    if start + length > box.size:
        raise ValueError("a box is too small")
    file.seek(box.start + start)
    return file.read(length)


def _offsets(frames: int, shifts: bytes, edits: bytes) -> NDArray[np.int64] | None:
    """How much later than it is decoded each frame is shown; None where it takes more than that."""
    if edits:
        wide, count = edits[0] == 1, *struct.unpack(">I", edits[4:8])
        shape = np.dtype([("length", ">u8" if wide else ">u4"), ("at", ">i8" if wide else ">i4"), ("rate", ">u4")])
        if np.count_nonzero(np.frombuffer(edits, shape, count, 8)["at"] >= 0) > 1:
            return None
    if not shifts:
        return np.zeros(frames, np.int64)
    (count,) = struct.unpack(">I", shifts[4:8])
    runs = np.frombuffer(shifts, np.dtype([("count", ">u4"), ("offset", ">i4")]), count, 8)
    lengths = runs["count"].astype(np.int64)
    if lengths.sum() != frames:
        return None
    offsets = np.repeat(runs["offset"].astype(np.int64), lengths)
    # FFmpeg puts the time of decoding early enough to come before all of these
    return offsets - min(0, int(offsets.min()))
