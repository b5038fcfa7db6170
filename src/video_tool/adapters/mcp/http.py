"""The protocol over HTTP: who may ask, and what happens when they leave."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Collection
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from video_tool.adapters.mcp.server import DISCONNECTED
from video_tool.errors import QuestionError, VideoToolError

PATH = "/mcp"

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

_FAREWELL = 1
"""Seconds that requests get to end by themselves when the server is to end."""


def http_app(server: Server[Any], *, hosts: Collection[str], token: str | None) -> ASGIApp:
    """The server as an ASGI application, at `PATH`.

    Args:
        server: answers.
        hosts: what a request's Host may name, without a port, beside this machine's loopback names; IPv6 addresses in
            brackets. A request that a web page makes has to come from a page of one of these.
        token: what requests have to bring as their bearer token; None for none.
    """
    names = (*_LOOPBACK_NAMES, *hosts)
    origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        transport_security=TransportSecuritySettings(
            allowed_hosts=_with_any_port(names), allowed_origins=_with_any_port(origins)
        ),
    )
    watched = _NoticeDisconnects(app)
    return watched if token is None else _WantToken(watched, token)


def listen(host: str, port: int, *, has_token: bool) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or address of this machine.
        port: 0 for any that is free.
        has_token: whether requests have to bring a token.

    Raises:
        QuestionError: others than this machine could reach it, and it would not ask for a token.
        VideoToolError: there is no such address, or the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        if not has_token and not ipaddress.ip_address(address[0]).is_loopback:
            raise QuestionError(
                f"without a token, nobody but this machine may reach the server, and {host} is for others, too",
                hint="Set VIDEO_TOOL_MCP_TOKEN, or give --token-file",
            )
        return socket.create_server((str(address[0]), int(address[1])), family=family)
    except OSError as error:
        raise VideoToolError(
            f"{host}, port {port}, can't be listened on: {error.strerror}", hint="Give another --host or --port"
        ) from error


def address_of(listening: socket.socket) -> str:
    """The URL of the server on a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


async def serve_http(app: ASGIApp, listening: socket.socket) -> None:
    """Serves until the process is told to end by SIGINT or SIGTERM, which is passed on when all has ended."""
    config = uvicorn.Config(
        app,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_FAREWELL,
    )
    await uvicorn.Server(config).serve(sockets=[listening])


class _WantToken:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
            given = f"{scheme.title()} {token.strip()}".encode()
            if not hmac.compare_digest(given, self._wanted):
                refusal = PlainTextResponse("Unauthorized", 401, {"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _NoticeDisconnects:
    """Notes in a request's scope when its client hangs up; whoever answers it hears so, but tools would not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        gone = scope[DISCONNECTED] = asyncio.Event()

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                gone.set()
            return message

        await self._app(scope, watched, send)


def _with_any_port(names: Collection[str]) -> list[str]:
    return [pattern for name in names for pattern in (name, f"{name}:*")]
