"""yt-dlp kept to a number of bytes and seconds.

Its own `max_filesize` looks at what the server announces and its `socket_timeout` at single reads, so a server that
announces nothing, or sends a byte now and then, is held by neither. All that yt-dlp reads over HTTP, pages as well as
videos, comes through `LimitedYoutubeDL.urlopen`; there it is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.utils import DownloadCancelled

from video_tool.errors import DownloadError
from video_tool.settings import Settings
from video_tool.sources.failures import too_large

_PIECE = 1 << 16


class Aborted(DownloadCancelled):
    """Carries an error of ours through yt-dlp, which retries or rewords all but cancellations."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Limits:
    """What one download may take.

    Args:
        name: how errors call the download.
        settings: the bytes, and the seconds from now on.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._max_bytes = settings.max_download_bytes
        self._seconds = settings.download_timeout
        self._end = time.monotonic() + self._seconds

    def check_time(self) -> None:
        """Abort the download when its time is up."""
        if time.monotonic() > self._end:
            raise Aborted(
                DownloadError(
                    f"{self._name} was not downloaded within {self._seconds:g} seconds",
                    hint="Try again later, or raise VIDEO_TOOL_DOWNLOAD_TIMEOUT.",
                    retryable=True,
                )
            )

    def check_bytes(self, count: int) -> None:
        """Abort the download when `count` bytes are too many for it."""
        if count > self._max_bytes:
            raise Aborted(too_large(self._name, self._max_bytes))


class LimitedYoutubeDL(YoutubeDL):
    """yt-dlp whose every response keeps to the limits.

    Attributes:
        failure: the last thing that went wrong on the network; yt-dlp forgets it when it has retried in vain.
    """

    def __init__(self, params: Any, limits: Limits) -> None:
        self.failure: RequestError | None = None
        self._limits = limits
        super().__init__(params)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        # With `requests` installed yt-dlp would take that instead of urllib: the same code shall run everywhere.
        return super().build_request_director([h for h in handlers if h.RH_KEY != "Requests"], preferences)

    def urlopen(self, req: Any) -> Response:
        self._limits.check_time()
        try:
            response = super().urlopen(req)
        except RequestError as error:
            self.failure = error
            if isinstance(error, HTTPError):  # extractors read the pages that come with errors, too
                error.response = _LimitedResponse(error.response, self._limits, self._remember)
            raise
        return _LimitedResponse(response, self._limits, self._remember)

    def _remember(self, failure: RequestError) -> None:
        self.failure = failure


class _LimitedResponse(Response):
    def __init__(self, response: Any, limits: Limits, on_failure: Callable[[RequestError], None]) -> None:
        super().__init__(
            response, response.url, response.headers, response.status, response.reason, response.extensions
        )
        self._limits = limits
        self._on_failure = on_failure
        self._count = 0

    def read(self, amt: int | None = None) -> bytes:
        body = bytearray()
        while not self.closed and (amt is None or len(body) < amt):
            self._limits.check_time()
            piece = self._read_some(_PIECE if amt is None else min(_PIECE, amt - len(body)))
            if not piece:
                self.close()
            body += piece
            self._count += len(piece)
            self._limits.check_bytes(self._count)
        return bytes(body)

    def _read_some(self, amount: int) -> bytes:
        # `read` waits until it has all of `amount`, which may be for ever; `read1` takes what has come.
        response: Any = self.fp
        raw = response.fp
        try:
            return raw.read1(amount) if isinstance(raw, HTTPResponse) else response.read(amount)
        except RequestError as error:
            self._on_failure(error)
            raise
        except Exception as error:
            failure = TransportError(cause=error)
            self._on_failure(failure)
            raise failure from error
