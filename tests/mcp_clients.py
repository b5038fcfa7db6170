"""Clients of MCP servers: the SDK's own, and one that says whatever it is told over pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.client.client import Client
from mcp.types import CallToolResult

from tests.programs import unmeasured
from video_tool.testing import Outcome, Surface

PATIENCE = 60.0
INITIALIZE = {
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}


class ThroughClient(Surface):
    """The SDK's client, connected to a server for as long as it likes."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self.client = client

    def ask(self, method: str, *args: Any, **options: Any) -> Any:
        """What a method of the client gives."""

        async def ask() -> Any:
            return await getattr(self.client, method)(*args, **options)

        return self._portal.call(ask)

    def call(self, arguments: dict[str, Any]) -> Outcome:
        return outcome_of(self.ask("call_tool", "video_qa", arguments))

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        call = self._portal.start_task_soon(self.client.call_tool, "video_qa", arguments)
        assert begun.wait(PATIENCE)
        assert call.cancel()  # by which the client tells the server so


@contextmanager
def connected(server: Any, mode: str = "auto") -> Iterator[ThroughClient]:
    """A client of what `Client` takes: a URL, a transport, a server in this process."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Client(server, mode=mode)) as client:
        yield ThroughClient(portal, client)


def outcome_of(result: CallToolResult) -> Outcome:
    text = "".join(block.text for block in result.content if block.type == "text")
    told = result.structured_content
    return Outcome(text, told, told["code"] if result.is_error else None)


class PipedServer:
    """`video-tool mcp` as a program, and a client that writes lines of its own making."""

    def __init__(self, environment: dict[str, str], command: Sequence[str] = ("-m", "video_tool", "mcp")) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=unmeasured() | environment,
        )

    def send(self, message: dict[str, Any] | bytes) -> None:
        line = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, identity: int, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self.send({"id": identity, "method": method, "params": params or {}})
        return self.receive()

    def greet(self, version: str = "2025-11-25") -> dict[str, Any]:
        greeting = {**INITIALIZE["params"], "protocolVersion": version}  # type: ignore[dict-item]
        answer = self.ask(0, "initialize", greeting)
        self.send({"method": "notifications/initialized"})
        return answer["result"]

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> tuple[int, str, str]:
        """Its exit code, and what else it wrote, when it has ended."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        try:
            out, err = self.process.stdout.read(), self.process.stderr.read()
            return self.process.wait(PATIENCE), out.decode(), err.decode()
        finally:
            self.process.kill()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                assert pipe is not None
                pipe.close()


@contextmanager
def endless_video() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """The URL of a video that never ends; when somebody has asked for it, and when they have left.

    It keeps coming, a little at a time: nobody who reads it gives up by themselves. Who leaves at once only looked what
    it is.
    """
    asked, left = threading.Event(), threading.Event()

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.end_headers()
            try:
                self.wfile.write(b"\0\0\0\x18ftypmp42" + bytes(4096))
                for _ in range(20):
                    left.wait(0.05)
                    self.wfile.write(bytes(16))
                asked.set()
                while not left.wait(0.05):
                    self.wfile.write(bytes(16))
            except OSError:
                if asked.is_set():
                    left.set()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video.mp4", asked, left
    finally:
        left.set()
        server.shutdown()
        server.server_close()
        thread.join()
