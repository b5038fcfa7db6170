"""The proxy that all of a download's traffic goes through: in this process, on the loopback interface.

It looks every host up itself, checks every address that it finds and connects to one that was checked, without a second
lookup. So first requests, redirects, segments of streams and whatever else a page asks for keep to the same rules, and
a name that changes its address meanwhile gains nothing. It is also where one download's bytes and seconds end: both are
counted here alone, across all of its connections.

Why our own: the package `proxy.py` has a hook to look hosts up, but it serves from processes of its own, where neither
a download's refusals nor its counts are at hand; it connects while it handles other traffic, so that a host that does
not answer holds up all; it has no way to hand a checked address to a further proxy; and it takes half a second to
import. What is left to write is little: HTTP's framing is h11's, everything else is copied as it comes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import os
import secrets
import socket
import struct
import threading
from asyncio import StreamReader, StreamWriter
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import h11

from video_tool.errors import DownloadError, SourceError
from video_tool.settings import Settings
from video_tool.sources.addresses import address_of, canonical_host
from video_tool.sources.failures import not_in_time, too_large, unreachable
from video_tool.sources.lookup import Resolver, look_up, resolve
from video_tool.sources.naming import one_line
from video_tool.sources.policy import check_addresses, check_host
from video_tool.sources.upstream import upstream_for

_BLOCK = 1 << 16  # bytes
_CONNECT_TIMEOUT = 10.0  # seconds for one address: a host may have others that answer
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # linger for 0 seconds
_NOT_PASSED_ON = frozenset(  # what is between two neighbours (RFC 9110, section 7.6.1), and what we set ourselves
    (b"connection", b"expect", b"host", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te", b"upgrade")
)


def wire_ceiling(max_bytes: int) -> int:
    """Return how many bytes may come over the wire for a video of `max_bytes`: pages, headers and TLS come with it."""
    return max_bytes + max_bytes // 32 + (16 << 20)


class EgressProxy:
    """An HTTP proxy for one download, for the length of a with-block.

    A connection serves one request: a tunnel (CONNECT) or a request for an http URL.

    Args:
        name: how errors call the download.
        settings: which hosts may be reached; the bytes that may come, as in `wire_ceiling`, and the seconds from the
            beginning of the with-block.
        resolver: how hosts are looked up.

    Attributes:
        url: where it is, with the credentials that it wants.
        stopped: why everything was stopped: too many bytes or seconds.
    """

    def __init__(self, name: str, settings: Settings, resolver: Resolver = resolve) -> None:
        self.stopped: SourceError | None = None
        self._name = name
        self._settings = settings
        self._resolver = resolver
        self._refused: SourceError | None = None
        self._left = wire_ceiling(settings.max_download_bytes)
        self._secret = secrets.token_hex(16)
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://video-tool:{self._secret}@127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="egress-proxy", daemon=True)

    @property
    def failure(self) -> SourceError | None:
        """What stopped the download, or why the connection that was asked for last did not come about."""
        return self.stopped or self._refused

    @property
    def authorization(self) -> str:
        """The credentials that it wants, as in a header (RFC 7617)."""
        return base64.b64encode(f"video-tool:{self._secret}".encode()).decode()

    def stop(self) -> None:
        """Breaks off all connections, from any thread; new ones are refused. Does not wait for it."""
        self._loop.call_soon_threadsafe(self._end.set)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        # connections, among them such as were made while the others ended
        while tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))  # for asyncio to close the sockets

    async def _serve(self) -> None:
        # Little may wait unread on the way to the client: it counts as fetched.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BLOCK)
        server = await asyncio.start_server(self._accept, sock=self._listener, limit=_BLOCK)
        try:
            async with asyncio.timeout(self._settings.download_timeout):
                await self._end.wait()
        except TimeoutError:
            self.stopped = not_in_time(self._name, self._settings.download_timeout)
        server.close()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        # A task of our own: asyncio would log it when its own is cancelled.
        task = self._loop.create_task(self._answer(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_BLOCK)
        try:
            request = await _next_event(connection, reader)
            if not isinstance(request, h11.Request):
                return
            given = dict(request.headers).get(b"proxy-authorization", b"")
            if not hmac.compare_digest(given, f"Basic {self.authorization}".encode()):
                await _say(writer, "407 Proxy Authentication Required", "Proxy-Authenticate: Basic")
                return
            try:
                scheme, host, port, path = _target_of(request)
            except ValueError:
                await _say(writer, "400 Bad Request")
                return
            try:
                server = await self._open(scheme, host, port)
            except SourceError as error:
                self._refused = error
                await _say(writer, "502 Bad Gateway" if error.retryable else "403 Forbidden")
                return
            self._refused = None
            try:
                if request.method == b"CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    server[1].write(connection.trailing_data[0])
                    await self._tunnel((reader, writer), server)
                else:
                    await self._pass_on(request, path, (connection, reader), server[1])
                    await self._copy(server[0], writer)
            finally:
                server[1].transport.abort()
        except (OSError, EOFError, h11.ProtocolError):
            _reset(writer)
        except asyncio.CancelledError:
            _reset(writer)
            raise
        finally:
            writer.close()

    async def _open(self, scheme: str, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
        # Connects to a host that is checked.
        check_host(host, self._settings)
        try:
            addresses = [host] if address_of(host) else await look_up(host, port, self._resolver)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise DownloadError(
                f"{one_line(host)} can't be reached: there is no such host",
                hint="Check the address; if it is right, try again later.",
                retryable=True,
            )
        check_addresses(host, addresses, self._settings)
        upstream = upstream_for(scheme, host, port)
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT):
                    if upstream:
                        return await upstream.open_tunnel(address, port)
                    return await asyncio.open_connection(address, port, limit=_BLOCK)
            except SourceError:
                raise
            except OSError:  # among them TimeoutError
                continue
        raise unreachable(f"{one_line(host)}:{port}")

    async def _tunnel(
        self, client: tuple[StreamReader, StreamWriter], server: tuple[StreamReader, StreamWriter]
    ) -> None:
        ways = [
            asyncio.ensure_future(self._copy(server[0], client[1])),
            asyncio.ensure_future(self._copy(client[0], server[1])),
        ]
        try:
            await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()

    async def _pass_on(
        self, request: h11.Request, path: str, client: tuple[h11.Connection, StreamReader], server: StreamWriter
    ) -> None:
        # The request as the server shall see it; its answer, which may break HTTP's rules, is not looked at.
        host = urlsplit(request.target).netloc.rpartition(b"@")[2]
        kept = [(name, value) for name, value in request.headers.raw_items() if name.lower() not in _NOT_PASSED_ON]
        outgoing = h11.Connection(h11.CLIENT)
        headers = [(b"Host", host), (b"Connection", b"close"), *kept]
        head = outgoing.send(h11.Request(method=request.method, target=path, headers=headers))
        server.write(head or b"")
        while not isinstance(event := await _next_event(*client), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise EOFError
            server.write(outgoing.send(event) or b"")
            await server.drain()
        server.write(outgoing.send(h11.EndOfMessage()) or b"")

    async def _copy(self, reader: StreamReader, writer: StreamWriter) -> None:
        while block := await reader.read(_BLOCK):
            self._left -= len(block)
            if self._left < 0:
                self.stopped = self.stopped or too_large(self._name, self._settings.max_download_bytes)
                self._end.set()
                raise EOFError
            writer.write(block)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _next_event(connection: h11.Connection, reader: StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(_BLOCK))
    return event


def _target_of(request: h11.Request) -> tuple[str, str, int, str]:
    """Return scheme, canonical host, port and path of a request to a proxy (RFC 9112, sections 3.2.2 and 3.2.3)."""
    target = request.target.decode("ascii")
    if request.method == b"CONNECT":
        parts = urlsplit(f"//{target}")
        return "https", canonical_host(parts.hostname or ""), parts.port or 443, ""
    parts = urlsplit(target)
    if parts.scheme != "http":
        raise ValueError("no http URL")
    path = target.partition("://")[2][len(parts.netloc) :].partition("#")[0]
    return "http", canonical_host(parts.hostname or ""), parts.port or 80, path if path.startswith("/") else f"/{path}"


async def _say(writer: StreamWriter, status: str, *headers: str) -> None:
    lines = (f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", *headers, "", "")
    writer.write("\r\n".join(lines).encode("ascii"))
    await writer.drain()


def _reset(writer: StreamWriter) -> None:
    # A connection that is closed looks like the end of a file; one that is reset looks broken, as it is.
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
