"""yt-dlp that asks for a file only if it has changed, and remembers what servers say of the files that they send."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

from yt_dlp.networking import Request, Response
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadCancelled

from video_tool.sources.freshness import Freshness, digest
from video_tool.sources.ytdlp import ConfinedYoutubeDL


class NotModified(DownloadCancelled):
    """The server says that the copy at hand is still the file; through yt-dlp like a cancellation.

    Attributes:
        freshness: what is known of the copy from now on.
    """

    def __init__(self, freshness: Freshness) -> None:
        super().__init__("not modified")
        self.freshness = freshness


class _Answer(NamedTuple):
    url: str
    status: int
    headers: Message


class ConditionalYoutubeDL(ConfinedYoutubeDL):
    """yt-dlp whose first request is conditional.

    Args:
        params: yt-dlp's options, `proxy` among them.
        name: how errors call the download.
        max_bytes: how many bytes one response may hold, decompressed.
        known: what is known of the copy at hand; None when there is none.

    Raises, out of any call:
        NotModified: the copy still is what the server has.
    """

    def __init__(self, params: Any, name: str, max_bytes: int, known: Freshness | None) -> None:
        self._known = known
        self._answers: dict[str, list[_Answer]] = {}
        super().__init__(params, name, max_bytes)

    def urlopen(self, req: Any) -> Response:
        request = Request(req) if isinstance(req, str) else req
        asked = request.url
        # The first request is for the address itself; later ones are for what an extractor found there.
        known, self._known = self._known, None
        response = super().urlopen(request) if known is None else self._ask(request, known)
        self._answers.setdefault(asked, []).append(_Answer(response.url, response.status, response.headers))
        return response

    def _ask(self, request: Request, known: Freshness) -> Response:
        conditions = known.conditions()
        request.headers.update(conditions)
        try:
            return super().urlopen(request)
        except HTTPError as error:
            if error.status != 304:
                raise
            # A tag says something about one address only, and redirects may lead to another than last time.
            if digest(error.response.url) == known.origin:
                raise NotModified(known.renewed(error.response.headers)) from error
        self.failure = None
        for name in conditions:
            del request.headers[name]
        return super().urlopen(request)

    def freshness(self, info: Mapping[str, Any]) -> Freshness | None:
        """Return how long the file that has come may be used again; None when it may not be kept.

        Args:
            info: what yt-dlp knows of the file.
        """
        whole = info.get("protocol") in ("http", "https")  # others come in segments, after a playlist
        answers = self._answers.get(Request(info["url"]).url) if whole else None
        if not answers:
            return Freshness.of_page()
        last = answers[-1]
        versions = {(answer.headers["ETag"], answer.headers["Last-Modified"]) for answer in answers}
        if last.status == 206 and len(versions) > 1:
            return None  # it changed while it came: this is the beginning of one file and the end of another
        freshness = Freshness.of_file(last.url, last.headers)
        return freshness if freshness is None or info.get("direct") else Freshness.of_page()
