"""The protocol over HTTP: who is let in, what happens when they leave, several at once."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from anyio.from_thread import start_blocking_portal
from mcp.client.client import Client

from tests.mcp_clients import INITIALIZE, PATIENCE, ThroughClient, connected, endless_video, outcome_of
from tests.programs import unmeasured
from video_tool.adapters.mcp.http import address_of, http_app, listen, serve_http
from video_tool.adapters.mcp.server import ToolServer
from video_tool.errors import QuestionError, VideoToolError
from video_tool.testing import Bench, SurfaceTests

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
TOKEN = "a-token-of-the-tests"


@contextmanager
def serving(bench: Bench, hosts: tuple[str, ...] = (), token: str | None = None) -> Iterator[str]:
    """The URL of a server in this process."""
    tools = ToolServer(bench.toolbox, version="1.2.3", lists_frames=False)
    listening = listen("127.0.0.1", 0, has_token=False)
    app = http_app(tools.server, hosts=hosts, token=token)
    with start_blocking_portal() as portal:
        task = portal.start_task_soon(serve_http, app, listening)
        try:
            yield address_of(listening)
        finally:
            task.cancel()


@pytest.fixture(scope="module")
def url(bench: Bench) -> Iterator[str]:
    with serving(bench) as address:
        yield address


@pytest.fixture(scope="module", params=["legacy", "auto"], ids=["handshake", "newest"])
def surface(request: pytest.FixtureRequest, url: str) -> Iterator[ThroughClient]:
    with connected(url, request.param) as through:
        yield through


class TestHttp(SurfaceTests):
    """The conformance kit."""


class Line:
    """A connection, by which requests are made as they stand here."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)

    def post(self, body: dict[str, Any] | bytes, **headers: str) -> http.client.HTTPResponse:
        data = body if isinstance(body, bytes) else json.dumps({"jsonrpc": "2.0", **body}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("POST", self._path, data, {**ACCEPT, **named})
        return self._connection.getresponse()

    def method(self, method: str, **headers: str) -> http.client.HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, self._path, headers={**ACCEPT, **named})
        return self._connection.getresponse()

    def hang_up(self) -> None:
        self._connection.close()


GREETING: dict[str, Any] = {"id": 1, **INITIALIZE}


def status(url: str, body: dict[str, Any] | bytes = GREETING, **headers: str) -> int:
    line = Line(url)
    try:
        return line.post(body, **headers).status
    finally:
        line.hang_up()


def test_hosts_and_origins_that_are_not_this_machine_are_refused(url: str) -> None:
    port = urlsplit(url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "localhost"):
        assert status(url, Host=host) == 200
    for host in ("example.org", f"example.org:{port}", f"127.0.0.1.example.org:{port}", "", f"localhost.:{port}"):
        assert status(url, Host=host) in (400, 421), host
    for origin in (f"http://localhost:{port}", "http://127.0.0.1", "https://localhost:3000"):
        assert status(url, Origin=origin) == 200
    for origin in ("http://example.org", "null", "file://", f"http://localhost.example.org:{port}"):
        assert status(url, Origin=origin) == 403, origin
    # what the newest protocol brings goes another way through the SDK
    assert status(url, MCP_Protocol_Version="2026-07-28", Origin="http://example.org") == 403
    assert status(url, MCP_Protocol_Version="2026-07-28", Host="example.org") == 421


def test_named_hosts_are_let_in(bench: Bench) -> None:
    with serving(bench, hosts=("video.example.org",)) as url:
        assert status(url, Host="video.example.org", Origin="https://video.example.org") == 200
        assert status(url, Host="video.example.org:8443") == 200
        assert status(url, Host="other.example.org") == 421


def test_nobody_is_let_in_without_the_token(bench: Bench) -> None:
    with serving(bench, token=TOKEN) as url:
        assert status(url, Authorization=f"Bearer {TOKEN}") == 200
        assert status(url, Authorization=f"bearer {TOKEN}") == 200
        for wrong in ("", TOKEN, "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"):
            assert status(url, Authorization=wrong) == 401, wrong
        for method in ("GET", "POST", "DELETE", "OPTIONS", "HEAD"):
            line = Line(url)
            answer = line.method(method)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            line.hang_up()
        # and before anything of the request is looked at
        assert status(url, b"rubbish") == 401
        assert status(url, Host="example.org") == 401


def test_rubbish_is_refused_and_what_follows_answered(url: str) -> None:
    for rubbish in (b"rubbish", b"\xff", b"[" * 100_000, b"42", b"[]", b'{"jsonrpc": "2.0"}', b""):
        assert status(url, rubbish) == 400, rubbish[:20]
    assert status(url, b"{}", Content_Type="text/plain") == 400
    assert status(url, Accept="text/html") == 406
    assert status(url.replace("/mcp", "/other")) == 404
    assert status(url, Content_Length=str(1 << 40)) == 413
    assert status(url) == 200


@pytest.mark.parametrize("how", ["hung up", "cancelled", "session ended"])
def test_a_call_that_nobody_waits_for_is_stopped(url: str, how: str) -> None:
    with endless_video() as (address, asked, left):
        line, other = Line(url), Line(url)
        answer = line.post(GREETING)
        session = answer.headers["Mcp-Session-Id"]
        answer.read()
        arguments = {"question": "What happens?", "videos": [address]}
        line.post(
            {"id": 7, "method": "tools/call", "params": {"name": "video_qa", "arguments": arguments}},
            Mcp_Session_Id=session,
        )
        assert asked.wait(PATIENCE)
        if how == "hung up":
            line.hang_up()
        elif how == "cancelled":
            cancel = {"method": "notifications/cancelled", "params": {"requestId": 7}}
            assert other.post(cancel, Mcp_Session_Id=session).status == 202
        else:
            assert other.method("DELETE", Mcp_Session_Id=session).status == 200
        assert left.wait(PATIENCE)
        line.hang_up()
        other.hang_up()
    assert status(url) == 200


def test_eight_clients_at_once_get_what_the_toolbox_gives(url: str, bench: Bench) -> None:
    names = list(bench.requests)[:8]

    async def ask(name: str, mode: str) -> Any:
        async with Client(url, mode=mode) as client:
            return outcome_of(await client.call_tool("video_qa", bench.requests[name]))

    async def main() -> list[Any]:
        return await asyncio.gather(*[ask(name, ("legacy", "auto")[at % 2]) for at, name in enumerate(names)])

    for name, outcome in zip(names, asyncio.run(main()), strict=True):
        expected = bench.expected(name)
        assert (outcome.text, outcome.error_code) == (expected.text, expected.error and expected.error.code)


def test_only_with_a_token_others_than_this_machine_can_connect() -> None:
    with pytest.raises(QuestionError, match="without a token") as caught:
        listen("0.0.0.0", 0, has_token=False)
    assert "VIDEO_TOOL_MCP_TOKEN" in caught.value.hint
    with listen("0.0.0.0", 0, has_token=True) as listening:
        assert address_of(listening).startswith("http://0.0.0.0:")
    with listen("localhost", 0, has_token=False):
        pass


def test_what_cannot_be_listened_on_is_said() -> None:
    with listen("127.0.0.1", 0, has_token=False) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(VideoToolError, match=f"127.0.0.1, port {port}"):
            listen("127.0.0.1", port, has_token=False)
    with pytest.raises(VideoToolError, match=r"no-such-host\.invalid"):
        listen("no-such-host.invalid", 0, has_token=False)


def test_addresses_of_the_sixth_version_stand_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listening = listen("::1", 0, has_token=False)
    except VideoToolError:
        pytest.skip("no IPv6 here")
    with listening:
        assert re.fullmatch(r"http://\[::1\]:\d+/mcp", address_of(listening))


@pytest.fixture
def program(bench: Bench) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """`video-tool mcp --http` as a program, and its URL."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "video_tool", "mcp", "--http", "--port", "0", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=unmeasured() | bench.environment | environment,
        )
        started.append(process)
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        return process, found.group()

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_calls_and_streams_open(
    program: Callable[..., tuple[subprocess.Popen[str], str]], stop: signal.Signals, code: int
) -> None:
    process, url = program(VIDEO_TOOL_MCP_TOKEN=TOKEN)
    line, listening = Line(url), Line(url)
    authorization = f"Bearer {TOKEN}"
    answer = line.post(GREETING, Authorization=authorization)
    session = answer.headers["Mcp-Session-Id"]
    answer.read()
    assert listening.method("GET", Mcp_Session_Id=session, Authorization=authorization).status == 200
    with endless_video() as (address, asked, left):
        arguments = {"question": "What happens?", "videos": [address]}
        line.post(
            {"id": 7, "method": "tools/call", "params": {"name": "video_qa", "arguments": arguments}},
            Mcp_Session_Id=session,
            Authorization=authorization,
        )
        assert asked.wait(PATIENCE)
        process.send_signal(stop)
        assert left.wait(PATIENCE)
        assert process.wait(PATIENCE) == code
    assert process.stdout is not None
    assert process.stdout.read() == ""
    line.hang_up()
    listening.hang_up()
