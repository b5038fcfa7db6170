"""A real web server on the loopback interface, for tests of everything that fetches."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BLOCK = 1 << 14


@dataclass(frozen=True)
class Page:
    """What the server answers at one path.

    Attributes:
        body: what is sent.
        content_type: the header of that name; None leaves it out.
        status: the HTTP status.
        headers: further headers.
        with_length: whether Content-Length announces the body; without it, the closed connection ends it.
        announced: the length to announce instead of the true one.
        drip_after: from this byte on, a byte every 20 milliseconds.
        stall_before: nothing at all comes, and the connection stays open.
        stall_after: from this byte on, nothing more, and the connection stays open.
        go_on: has the rest come after all, once it is set.
        later_status: the status from the second request on.
        repeat: how often the body is sent, at the most: the client may leave earlier.
        user_and_password: Basic credentials that are asked for, as in the header.
    """

    body: bytes = b""
    content_type: str | None = "application/octet-stream"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    with_length: bool = True
    announced: int | None = None
    drip_after: int | None = None
    stall_before: bool = False
    stall_after: int | None = None
    go_on: threading.Event | None = None
    later_status: int | None = None
    repeat: int = 1
    user_and_password: str | None = None


@dataclass
class Site:
    """A running server.

    Attributes:
        url: its address, without a slash at the end.
        hits: how often each path was asked for, without its query.
        sent: bytes of body sent for each path.
        requests: the headers of each request.
        not_modified: how often each path was asked for on a condition, and had not changed.
        asked: set once there was a request.
        stopping: set when the server ends.
    """

    url: str
    hits: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    requests: list[Message] = field(default_factory=list)
    not_modified: Counter[str] = field(default_factory=Counter)
    pages: dict[str, Page] = field(default_factory=dict)
    asked: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, body: bytes = b"", **options: Any) -> str:
        """Serve a page at `path`; returns its URL."""
        self.pages[path] = Page(body, **options)
        return self.url + path

    def redirect(self, path: str, target: str) -> str:
        """Redirect `path` to `target`; returns the URL that redirects."""
        return self.put(path, status=302, headers=(("Location", target),))


@contextmanager
def serve(host: str = "127.0.0.1") -> Iterator[Site]:
    """Run a server for the length of a with-block, at an IPv4 or IPv6 address of this machine."""
    server = (_IPv6Server if ":" in host else ThreadingHTTPServer)((host, 0), _Handler)
    shown = f"[{host}]" if ":" in host else host
    server.site = site = Site(f"http://{shown}:{server.server_port}")  # type: ignore[union-attr]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _IPv6Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        site.hits[path] += 1
        site.requests.append(self.headers)
        site.asked.set()
        page = site.pages.get(path, Page(b"not here", status=404))
        if page.stall_before:
            site.stopping.wait()
            return
        if page.user_and_password and self.headers["Authorization"] != f"Basic {page.user_and_password}":
            page = Page(b"who are you?", status=401)
        if self._has_it(page):
            site.not_modified[path] += 1
            page = replace(page, body=b"", status=304)
        self.send_response(page.later_status if page.later_status and site.hits[path] > 1 else page.status)
        for name, value in page.headers:
            self.send_header(name, value)
        if page.content_type:
            self.send_header("Content-Type", page.content_type)
        if page.with_length:
            self.send_header("Content-Length", str(page.announced or len(page.body) * page.repeat))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for _ in range(page.repeat):
                self._send(site, path, page)
        except OSError:
            pass  # the client has left

    def _has_it(self, page: Page) -> bool:
        headers = dict(page.headers)
        if self.headers["If-None-Match"]:
            return self.headers["If-None-Match"] == headers.get("ETag")
        since = self.headers["If-Modified-Since"]
        return since is not None and since == headers.get("Last-Modified")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _send(self, site: Site, path: str, page: Page) -> None:
        stop = len(page.body) if page.stall_after is None else page.stall_after
        quick = stop if page.drip_after is None else page.drip_after
        for start in range(0, quick, _BLOCK):
            site.sent[path] += self.wfile.write(page.body[start : min(start + _BLOCK, quick)])
        for byte in page.body[quick:stop]:
            if site.stopping.wait(0.02):
                return
            site.sent[path] += self.wfile.write(bytes((byte,)))
        if stop < len(page.body) and page.go_on is None:
            site.stopping.wait()
        elif stop < len(page.body):
            while not page.go_on.wait(0.02):
                if site.stopping.is_set():
                    return
            site.sent[path] += self.wfile.write(page.body[stop:])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass
