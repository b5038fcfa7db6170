"""Clients and servers around a proxy: requests through it, and a further proxy behind it."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


def get(proxy: str, url: str, *, tunnel: bool = False) -> tuple[int, bytes]:
    """Status and body of `url`, asked for through the proxy with this URL; in a tunnel (CONNECT) or not."""
    way, target = urlsplit(proxy), urlsplit(url)
    credentials = base64.b64encode(f"{way.username}:{way.password}".encode()).decode()
    headers = {"Proxy-Authorization": f"Basic {credentials}"} if way.username else {}
    client = http.client.HTTPConnection(way.hostname or "", way.port, timeout=30)
    try:
        if tunnel:
            host = f"[{target.hostname}]" if ":" in (target.hostname or "") else target.hostname
            client.set_tunnel(host or "", target.port, headers)
            client.request("GET", target.path)
        else:
            client.request("GET", url, headers=headers)
        response = client.getresponse()
        return response.status, response.read()
    except OSError as error:
        if "Tunnel connection failed" not in str(error):
            raise
        return int(str(error).split()[3]), b""
    finally:
        client.close()


@dataclass
class FurtherProxy:
    """A proxy that leads every tunnel to one server, and notes where it was asked to lead.

    Attributes:
        url: its address.
        targets: what was asked for, as `host:port`.
        credentials: what came with the last request, decoded.
        status: what it answers.
    """

    url: str = ""
    targets: list[str] = field(default_factory=list)
    credentials: str = ""
    status: str = "200 OK"


@contextmanager
def further_proxy(server: str) -> Iterator[FurtherProxy]:
    """Run a proxy for the length of a with-block; `server` is the URL of what is behind it."""
    proxy = FurtherProxy()
    end = urlsplit(server)

    def serve(client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head and (more := client.recv(4096)):
                head += more
            lines = head.decode().split("\r\n")
            proxy.targets.append(lines[0].split()[1])
            given = [line.split()[-1] for line in lines if line.lower().startswith("proxy-authorization:")]
            proxy.credentials = base64.b64decode(given[0]).decode() if given else ""
            client.sendall(f"HTTP/1.1 {proxy.status}\r\n\r\n".encode())
            if proxy.status.startswith("200"):
                with socket.create_connection((end.hostname or "", end.port or 80)) as behind:
                    asked = client.recv(65536)
                    behind.sendall(asked)
                    while block := behind.recv(65536):
                        client.sendall(block)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
