"""References with a scheme of a plugin's: which there are, and what is behind one, as bytes within the ceilings."""

from __future__ import annotations

import os.path
import re
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from video_tool.cancellation import check
from video_tool.errors import DownloadError, SourceError, SourceNotFoundError, SourceRefusedError, VideoToolError
from video_tool.plugins import Extensions, OpenSource, Plugin
from video_tool.progress import OnProgress, Progress
from video_tool.settings import Settings
from video_tool.sources.failures import TRY_LATER, not_in_time
from video_tool.sources.naming import redact, redact_text, url_name

OURS = ("http", "https", "file", "data", "javascript")
"""Schemes that are fetched, or refused, by our own policy."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)


def _misfit(offer: Any) -> str:
    return "" if callable(offer) else "it is no function"


SOURCES: Extensions[OpenSource] = Extensions("sources", OURS, _misfit)
"""Those of other packages."""


@dataclass(frozen=True)
class PluggedSource:
    """A reference that a plugin takes.

    Attributes:
        reference: all of it.
        name: how errors and answers call it.
        plugin: whose it is.
    """

    reference: str
    name: str
    plugin: Plugin
    _open: OpenSource

    @contextmanager
    def opened(self, settings: Settings, on_progress: OnProgress) -> Generator[BinaryIO]:
        """What is behind it, to be read within `settings.download_timeout` seconds; news of its bytes is told.

        Raises:
            SourceError: the plugin, or reading what it gave, failed or took longer; within the block, too.
        """
        deadline = time.monotonic() + settings.download_timeout
        with _told_as_ours(self):
            stream: Any = self._open(self.reference, settings)
        if not callable(getattr(stream, "read", None)):
            raise _no_bytes(self, stream)
        with closing(_Stream(self, stream, settings.download_timeout, deadline, on_progress)) as read:
            yield cast("BinaryIO", read)


@dataclass
class _Stream:
    """A plugin's file object while it is read."""

    source: PluggedSource
    stream: Any
    seconds: float
    deadline: float
    on_progress: OnProgress
    done: int = 0

    def read(self, size: int) -> bytes:
        check()
        with _told_as_ours(self.source):
            piece = self.stream.read(size)
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise _no_bytes(self.source, piece)
        if time.monotonic() > self.deadline:
            raise not_in_time(self.source.name, self.seconds)
        piece = bytes(piece)
        self.done += len(piece)
        self.on_progress(Progress("download", self.source.name, self.done, None, "bytes"))
        return piece

    def close(self) -> None:
        close = getattr(self.stream, "close", None)
        if callable(close):
            with _told_as_ours(self.source):
                close()


def plugged_source(reference: str, settings: Settings) -> PluggedSource | None:
    """What a plugin makes of a reference; None where it is a URL or path as everybody has them.

    A file that is there is a path whatever it is called, unless `//` says that a URL is meant.

    Raises:
        SourceRefusedError: the reference is malformed.
    """
    found = _SCHEME.match(reference)
    if found is None or found[1].lower() in OURS:
        return None
    if not reference.startswith("//", found.end()) and os.path.lexists(reference):
        return None
    known = SOURCES.use(settings.plugins)
    scheme = found[1].lower()
    if scheme not in known.offers:
        return None
    try:
        name = url_name(reference) or scheme
    except ValueError:
        raise SourceRefusedError(
            f"{redact(reference)} is refused: its host is malformed", hint="Check what is behind //."
        ) from None
    return PluggedSource(reference, name, known.plugin(scheme), known.offers[scheme])


@contextmanager
def _told_as_ours(source: PluggedSource) -> Generator[None]:
    """The one place where a plugin's errors become ours."""
    name = source.name
    try:
        yield
    except VideoToolError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{source.plugin.origin} finds no {name}", hint="Check the reference.") from error
    except PermissionError as error:
        raise SourceRefusedError(
            f"{source.plugin.origin} may not open {name}", hint="Check the plugin's rights and sign-in."
        ) from error
    except Exception as error:
        told = redact_text(f"{type(error).__name__}: {error}")
        raise DownloadError(
            f"{name} can't be had: {source.plugin.origin} failed: {told}",
            hint=TRY_LATER if isinstance(error, OSError) else "Tell the plugin's authors.",
            retryable=isinstance(error, OSError),
        ) from error


def _no_bytes(source: PluggedSource, given: object) -> SourceError:
    return SourceError(
        f"{source.name} can't be had: {source.plugin.origin} gave {type(given).__name__}, and no bytes to read",
        hint="Tell the plugin's authors: a source gives a file object opened for reading bytes.",
    )
