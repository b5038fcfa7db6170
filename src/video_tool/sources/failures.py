"""Errors that several ways of getting a file can end in alike, and how long servers ask to wait after one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from video_tool.errors import DownloadError, SourceTooLargeError, StorageError

TRY_LATER = "Try again later; if it stays so, check the address and the network."
_LONGEST_PAUSE = 86_400.0  # seconds


def too_large(name: str, max_bytes: int) -> SourceTooLargeError:
    """Return the error for a source of more than `max_bytes` bytes."""
    return SourceTooLargeError(
        f"{name} is larger than {max_bytes:,} bytes",
        hint="Raise VIDEO_TOOL_MAX_DOWNLOAD_BYTES, or save it yourself and pass the path.",
    )


def page_too_large(name: str, max_bytes: int) -> SourceTooLargeError:
    """Return the error for a page or playlist of more than `max_bytes` bytes, which no setting changes."""
    return SourceTooLargeError(
        f"{name} leads to a page or playlist of more than {max_bytes:,} bytes",
        hint="Give the address of the video file itself, or save it yourself and pass the path.",
    )


def not_in_time(name: str, seconds: float) -> DownloadError:
    """Return the error for a download that takes more than `seconds`."""
    return DownloadError(
        f"{name} was not downloaded within {seconds:g} seconds",
        hint="Try again later, or raise VIDEO_TOOL_DOWNLOAD_TIMEOUT.",
        retryable=True,
    )


def unreachable(shown: str) -> DownloadError:
    """Return the error for a host or URL that does not answer."""
    return DownloadError(f"{shown} can't be reached", hint=TRY_LATER, retryable=True)


def unwritable(name: str) -> StorageError:
    """Return the error for a temp folder that takes no file, or no more of it."""
    return StorageError(
        f"{name} can't be written to the temp folder",
        hint="Free some space there, or set TMPDIR to a folder that may be written to.",
    )


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks to wait, a day at the most; None where it says nothing."""
    # It holds seconds or a date (RFC 9110, section 10.2.3).
    text = str(headers.get("Retry-After") or "").strip()
    try:
        seconds = float(text) if text.isdecimal() else parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
