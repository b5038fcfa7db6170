"""What servers send, decompressed while it is read and kept to a ceiling.

yt-dlp decompresses in one go: a few megabytes of gzip that stand for gigabytes of zeros would fill the memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from video_tool.errors import SourceError
from video_tool.sources.failures import page_too_large, too_large

PAGE_CEILING = 1 << 24
"""Bytes that may be read into memory at once, as pages, playlists and manifests are."""

_BLOCK = 1 << 16  # bytes


class Body:
    """The body of a response, as a file to read.

    Args:
        response: the response, nothing of which has been read.
        name: how errors call the download.
        max_bytes: how many bytes may be read in all, decompressed.
        abort: makes what is raised when there are more, from an error of ours.
    """

    def __init__(
        self, response: HTTPResponse, name: str, max_bytes: int, abort: Callable[[SourceError], Exception]
    ) -> None:
        self._response = response
        self._name = name
        self._max_bytes = max_bytes
        self._abort = abort
        self._count = 0
        self._encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        self._decoder: Any = None

    @property
    def closed(self) -> bool:
        return self._response.closed

    def close(self) -> None:
        self._response.close()

    def read(self, size: int | None = None) -> bytes:
        """Return at most `size` bytes, none at the end; without a size all, within `PAGE_CEILING`.

        Raises:
            IncompleteRead: the connection ended early.
            HTTPException: it is compressed in a way that was not asked for.
            zlib.error: it is not compressed as the server says.
        """
        if size is None or size < 0:
            return self._read_page()
        body = bytearray()
        while len(body) < size and (piece := self._piece(size - len(body))):
            body += piece
        if size and not body:
            self._check_end()
        self._count += len(body)
        if self._count > self._max_bytes:
            raise self._abort(too_large(self._name, self._max_bytes))
        return bytes(body)

    def _read_page(self) -> bytes:
        page = bytearray()
        while piece := self._piece(_BLOCK):
            page += piece
            if self._count + len(page) > self._max_bytes:
                raise self._abort(too_large(self._name, self._max_bytes))
            if len(page) > PAGE_CEILING:
                raise self._abort(page_too_large(self._name, PAGE_CEILING))
        self._check_end()
        self._count += len(page)
        return bytes(page)

    def _piece(self, size: int) -> bytes:
        # At most so many decompressed bytes; none only at the end.
        if self._encoding == "identity":
            return self._response.read(min(size, _BLOCK))
        if self._decoder is None:
            self._decoder = _decoder_of(self._encoding, first := self._response.read(_BLOCK))
            piece: bytes = self._decoder.decompress(first, size)
        else:
            piece = self._decoder.decompress(self._decoder.unconsumed_tail, size)
        while not piece and not self._decoder.eof and (more := self._response.read(_BLOCK)):
            piece = self._decoder.decompress(more, size)
        return piece

    def _check_end(self) -> None:
        missing = self._response.length  # what Content-Length announced, less what came
        if not self._decoder.eof if self._decoder is not None else missing:
            raise IncompleteRead(b"", missing or None)


def _decoder_of(encoding: str, first: bytes) -> Any:
    # What is called deflate comes with zlib's frame (RFC 1950), as RFC 9110 wants it, or without (RFC 1951).
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if encoding == "deflate":
        framed = len(first) > 1 and first[0] & 0x0F == zlib.DEFLATED and int.from_bytes(first[:2], "big") % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
    raise HTTPException(f"content encoding {encoding!r}, which was not asked for")
