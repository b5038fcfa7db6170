"""Errors that a copy and a download can end in alike."""

from __future__ import annotations

from video_tool.errors import SourceTooLargeError, StorageError


def too_large(name: str, max_bytes: int) -> SourceTooLargeError:
    """Return the error for a source of more than `max_bytes` bytes."""
    return SourceTooLargeError(
        f"{name} is larger than {max_bytes:,} bytes",
        hint="Raise VIDEO_TOOL_MAX_DOWNLOAD_BYTES, or save it yourself and pass the path.",
    )


def unwritable(name: str) -> StorageError:
    """Return the error for a temp folder that takes no file, or no more of it."""
    return StorageError(
        f"{name} can't be written to the temp folder",
        hint="Free some space there, or set TMPDIR to a folder that may be written to.",
    )
