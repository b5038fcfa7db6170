"""The proxy that the environment asks for (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), beyond ours.

It is given checked addresses, never names, so that what it connects to is what was checked. For that, plain http goes
through a tunnel, too: in a request of the usual kind the address would take the place of the host's name (RFC 9112,
section 3.2.2), and the server would not know which of its sites is meant.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from video_tool.errors import DownloadError
from video_tool.sources.naming import one_line

_MOST_HEAD = 1 << 16  # bytes of its answer


@dataclass(frozen=True)
class Upstream:
    """A proxy.

    Attributes:
        host: its name or address.
        port: its TCP port.
        encrypted: whether it is spoken to over TLS.
        credentials: `user:password` in Base64 (RFC 7617), or empty.
    """

    host: str
    port: int
    encrypted: bool
    credentials: str = field(default="", repr=False)

    async def open_tunnel(self, address: str, port: int) -> tuple[StreamReader, StreamWriter]:
        """Connect to `address` and `port` through it (RFC 9110, section 9.3.6).

        Raises:
            DownloadError: it refuses, or does not talk as a proxy does.
            OSError: it can't be reached.
        """
        context = ssl.create_default_context() if self.encrypted else None
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=context, limit=_MOST_HEAD)
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.credentials:
            lines.append(f"Proxy-Authorization: Basic {self.credentials}")
        try:
            writer.write("\r\n".join((*lines, "", "")).encode("ascii"))
            status = (await reader.readuntil(b"\r\n\r\n")).split(maxsplit=2)[1]
            if not status.startswith(b"2"):
                raise self._failure(f"answers {one_line(status.decode('latin-1'))}")
        except (EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
            writer.transport.abort()
            raise self._failure("does not answer as a proxy does") from error
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer

    def _failure(self, what: str) -> DownloadError:
        return DownloadError(
            f"the proxy at {one_line(self.host)}:{self.port} {what}",
            hint="Check HTTPS_PROXY and HTTP_PROXY: the proxy has to allow CONNECT, for ports 443 and 80.",
        )


def upstream_for(scheme: str, host: str, port: int, proxies: Mapping[str, str] | None = None) -> Upstream | None:
    """Return the proxy that the environment asks for on the way to a host, or None for none.

    Args:
        scheme: http or https.
        host: where to, a name or an address.
        port: its TCP port.
        proxies: URLs of proxies by scheme; by default those of the environment.

    Raises:
        DownloadError: a proxy is asked for of a kind that can't be used.
    """
    found = getproxies() if proxies is None else proxies
    url = found.get(scheme) or found.get("all")
    if not url or proxy_bypass(f"{host}:{port}"):
        return None
    upstream = _parse(url)
    if upstream is None:
        raise DownloadError(
            f"the proxy that {scheme.upper()}_PROXY or ALL_PROXY names can't be used",
            hint="Give it as http://host:port or https://host:port; SOCKS is not spoken.",
        )
    return upstream


def _parse(url: str) -> Upstream | None:
    # None when it can't be used; the error that tells why would hold what may be secret.
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return Upstream(
        host,
        port or (443 if parts.scheme == "https" else 80),
        parts.scheme == "https",
        base64.b64encode(user.encode()).decode() if parts.username else "",
    )
