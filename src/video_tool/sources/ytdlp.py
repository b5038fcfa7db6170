"""yt-dlp, confined: all of its traffic goes to one proxy, and what it is sent keeps to a ceiling.

Of its request handlers only a narrowed form of the one for urllib is left. The others (requests, curl_cffi,
websockets), which come with other packages, would decompress without a ceiling; and urllib's own use of proxies skips
them where the environment says so (`NO_PROXY`).
"""

from __future__ import annotations

import base64
import threading
import time
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    BaseHandler,
    HTTPCookieProcessor,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    OpenerDirector,
    Request,
    UnknownHandler,
)
from urllib.response import addinfourl

from yt_dlp import YoutubeDL
from yt_dlp.extractor import gen_extractor_classes
from yt_dlp.networking import Response
from yt_dlp.networking._urllib import HTTPHandler, RedirectHandler, UrllibRH
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils import DownloadCancelled

from video_tool.cancellation import check, on_cancel
from video_tool.errors import CancelledError, DeadlineError, DownloadError, SourceError, SourceRefusedError
from video_tool.sources.bodies import Body
from video_tool.sources.naming import one_line

_MOST_STEPS = 10
"""From page to page: as many as urllib follows redirects."""

_STARTING_A_BROWSER = ("Douyu", "Iq", "PornHub")
"""How the extractors are called that would start PhantomJS, which would go past the proxy."""

_PROTOCOLS = frozenset(
    ("http", "https", "m3u8", "m3u8_native", "http_dash_segments", "http_dash_segments_generator", "ism", "f4m")
)
"""What yt-dlp fetches itself, over HTTP; for others it starts programs, or keeps a connection of its own open."""


class Aborted(DownloadCancelled):
    """Carries an error of ours through yt-dlp, which retries or rewords all but cancellations."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class ConfinedYoutubeDL(YoutubeDL):
    """yt-dlp that reaches nothing but its proxy.

    Args:
        params: its options, `proxy` among them.
        name: how errors call the download.
        max_bytes: how many bytes one response may hold, decompressed.

    Attributes:
        failure: the last thing that went wrong on the network; yt-dlp forgets it when it has retried in vain.
    """

    def __init__(self, params: Any, name: str, max_bytes: int) -> None:
        self.failure: RequestError | None = None
        self._name = name
        self._max_bytes = max_bytes
        self._steps = 0
        super().__init__(params)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        handlers = [partial(_ProxyOnlyRH, name=self._name, max_bytes=self._max_bytes)]
        return super().build_request_director(handlers, preferences)

    def add_info_extractor(self, ie: Any) -> None:
        if not ie.ie_key().startswith(_STARTING_A_BROWSER):
            super().add_info_extractor(ie)

    def add_default_info_extractors(self) -> None:
        # The same that yt-dlp adds; it compares each of 1,700 names with all others, which takes longer than to fetch a
        # short video.
        extractors: list[Any] = gen_extractor_classes()
        for extractor in {each.IE_NAME.lower(): each for each in extractors}.values():
            if extractor._ENABLED:
                self.add_info_extractor(extractor)

    def urlopen(self, req: Any) -> Response:
        _check()  # a connection that was broken off is not tried again
        try:
            return super().urlopen(req)
        except RequestError as error:
            self.failure = error
            raise

    def extract_info(self, url: str, *args: Any, **options: Any) -> Any:
        # Called anew, from within, for every page that a page leads to.
        self._steps += 1
        if self._steps > _MOST_STEPS + 1:
            raise Aborted(
                DownloadError(
                    f"{self._name} leads from page to page, more than {_MOST_STEPS} times",
                    hint="Give the address of the page or file that has the video.",
                )
            )
        return super().extract_info(url, *args, **options)

    def dl(self, name: str, info: Any, *args: Any, **options: Any) -> Any:
        protocol = str(info.get("protocol"))
        if not _PROTOCOLS.issuperset(protocol.split("+")):
            raise Aborted(
                SourceRefusedError(
                    f"{self._name} is refused: it is sent over {one_line(protocol)}, not over http or https",
                    hint="Download the file yourself and pass its path.",
                )
            )
        self._wait_until(float(info.get("available_at") or 0.0))
        return super().dl(name, info, *args, **options)

    def _wait_until(self, seconds: float) -> None:
        # Some sites give a file only after a while, which yt-dlp would sleep through.
        woken = threading.Event()
        with on_cancel(woken.set):
            woken.wait(max(seconds - time.time(), 0.0))
        _check()


class _ProxyOnlyRH(UrllibRH):
    _SUPPORTED_URL_SCHEMES = ("http", "https")

    def __init__(self, *, name: str, max_bytes: int, **options: Any) -> None:
        super().__init__(**options)
        self._name = name
        self._max_bytes = max_bytes

    def _get_headers(self, request: Any) -> dict[str, str]:
        request.headers.setdefault("Accept-Encoding", "gzip, deflate")  # what `bodies` decompresses
        return super()._get_headers(request)

    def _create_instance(self, proxies: Any, cookiejar: Any, legacy_ssl_support: Any = None) -> Any:
        opener: Any = OpenerDirector()
        proxies = self.proxies  # ours, not what extractors ask for with a request
        for handler in (
            _ToProxy(proxies["all"]),
            HTTPHandler(context=self._make_sslcontext(legacy_ssl_support=legacy_ssl_support)),
            _Bounded(self._name, self._max_bytes),
            HTTPCookieProcessor(cookiejar),
            UnknownHandler(),
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
            _HttpRedirects(),
        ):
            opener.add_handler(handler)
        opener.addheaders = []  # not urllib's own name: yt-dlp says what it is called
        return opener


class _HttpRedirects(RedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):  # urllib would follow to ftp, past every proxy
            raise HTTPError(req.full_url, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _ToProxy(BaseHandler):
    # urllib's own handler of proxies asks the environment for each host whether to go past them.
    handler_order = 99  # before the one that connects

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = f"{parts.hostname}:{parts.port}"
        user = f"{parts.username}:{parts.password}"
        self._authorization = f"Basic {base64.b64encode(user.encode()).decode()}"

    def http_open(self, request: Request) -> None:
        request.add_unredirected_header("Proxy-authorization", self._authorization)
        request.set_proxy(self._host, "http")

    https_open = http_open


class _Bounded(BaseHandler):
    handler_order = 499  # before yt-dlp's, which decompresses

    def __init__(self, name: str, max_bytes: int) -> None:
        self._name = name
        self._max_bytes = max_bytes

    def http_response(self, _request: Request, response: Any) -> Any:
        body: Any = Body(response, self._name, self._max_bytes, _abort)
        bounded: Any = addinfourl(body, response.headers, response.url, response.status)
        bounded.msg = bounded.reason = response.reason
        if response.headers.get("Content-Encoding"):
            del response.headers["Content-Encoding"], response.headers["Content-Length"]
        return bounded

    https_response = http_response


def _check() -> None:
    try:
        check()
    except (CancelledError, DeadlineError) as error:
        raise Aborted(error) from error


def _abort(error: SourceError) -> Aborted:
    return Aborted(error)
