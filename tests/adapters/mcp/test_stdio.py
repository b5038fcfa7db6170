"""The protocol over standard input and output: a real process, its pipes, its signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.mcp_clients import PATIENCE, PipedServer, ThroughClient, connected, endless_video
from tests.programs import measured, unmeasured
from video_tool.testing import Bench, SurfaceTests


def program(bench: Bench) -> Any:
    environment = os.environ | bench.environment
    return stdio_client(
        StdioServerParameters(command=sys.executable, args=["-m", "video_tool", "mcp"], env=environment)
    )


@pytest.fixture(scope="module")
def surface(bench: Bench) -> Iterator[ThroughClient]:
    with connected(program(bench)) as through:
        yield through


class TestStdio(SurfaceTests):
    """The conformance kit, with a process that serves."""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """In which the temp folder is empty at the end."""
    temp = tmp_path / "temp"
    temp.mkdir()
    yield {
        "TMPDIR": str(temp),
        "VIDEO_TOOL_MODEL": "builtin",
        "VIDEO_TOOL_ALLOWED_HOSTS": "127.0.0.1",
        "VIDEO_TOOL_CACHE_DIR": str(tmp_path / "cache"),
    }
    assert list(temp.iterdir()) == []


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator[PipedServer]:
    piped = PipedServer(environment)
    yield piped
    piped.process.kill()


def call(piped: PipedServer, identity: int, video: str) -> None:
    arguments = {"question": "What happens?", "videos": [video]}
    piped.send({"id": identity, "method": "tools/call", "params": {"name": "video_qa", "arguments": arguments}})


def test_it_ends_when_its_client_hangs_up(server: PipedServer) -> None:
    assert server.greet()["serverInfo"]["name"] == "video-tool"
    server.hang_up()
    assert server.end() == (0, "", "")


def test_it_ends_before_anybody_said_anything(server: PipedServer) -> None:
    server.hang_up()
    assert server.end() == (0, "", "")


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_by_a_signal_while_its_client_is_silent(server: PipedServer, stop: signal.Signals, code: int) -> None:
    server.greet()
    server.process.send_signal(stop)
    assert server.end() == (code, "", "")


def test_it_ends_by_a_signal_while_its_client_does_not_listen(server: PipedServer) -> None:
    server.greet()
    assert server.process.stdin is not None
    stdin = server.process.stdin.fileno()
    os.set_blocking(stdin, False)
    line = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n'
    with suppress(BlockingIOError):  # until neither takes any more
        while os.write(stdin, line):
            pass
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 143


@pytest.mark.parametrize("how", ["cancelled", "hung up", "terminated"])
def test_a_call_that_nobody_waits_for_is_stopped(server: PipedServer, how: str) -> None:
    with endless_video() as (address, asked, left):
        server.greet()
        call(server, 7, address)
        assert asked.wait(PATIENCE)
        if how == "cancelled":
            server.send({"method": "notifications/cancelled", "params": {"requestId": 7}})
            assert left.wait(PATIENCE)
            assert server.ask(8, "ping")["id"] == 8  # and 7 is not answered
            server.hang_up()
        elif how == "hung up":
            server.hang_up()
        else:
            server.process.send_signal(signal.SIGTERM)
        assert left.wait(PATIENCE)
        code, out, _ = server.end()
        assert code == (143 if how == "terminated" else 0)
        assert all("error" in json.loads(line) for line in out.splitlines())


RUBBISH = {
    b"rubbish": -32700,
    b'{"jsonrpc":': -32700,
    b"\xff\xfe\x00": -32700,
    b"[" * 100_000: -32700,
    b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "\\ud800"}}': -32700,
    b"42": -32600,
    b"[]": -32600,
    b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]': -32600,
    b'{"jsonrpc": "2.0", "id": 1}': -32600,
    b"x" * (5 << 20): -32600,
}


def test_rubbish_is_answered_and_what_follows_too(environment: dict[str, str]) -> None:
    server = PipedServer(environment | measured())
    server.greet()
    for line, code in RUBBISH.items():
        server.send(line)
        answer = server.receive()
        assert (answer["id"], answer["error"]["code"]) == (None, code), line[:60]
        server.send(b"")
        server.send(b"\r")
    assert server.ask(1, "ping")["result"] == {}
    assert server.ask(2, "no/such")["error"]["code"] == -32601
    wrong = server.ask(3, "tools/call", {"name": "video_qa", "arguments": {"qestion": "What?"}})
    assert wrong["result"]["structuredContent"]["code"] == "question"
    server.hang_up()
    assert server.end()[:2] == (0, "")


def test_a_huge_line_is_not_kept(server: PipedServer) -> None:
    server.greet()
    before = _peak(server.process.pid)
    server.send(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (100 << 20) + b'"}')
    assert "4194304" in server.receive()["error"]["message"]
    assert _peak(server.process.pid) - before < 32 << 20
    server.hang_up()
    assert server.end()[0] == 0


def _peak(process: int) -> int:
    """The most bytes of main memory that a process has had."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        pytest.skip("the system does not tell how much memory a process takes")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


@pytest.mark.parametrize(("version", "links"), [("2024-11-05", 0), ("2025-03-26", 0), ("2025-06-18", 1)])
def test_clients_get_frames_and_older_ones_no_links(
    environment: dict[str, str], bench: Bench, version: str, links: int
) -> None:
    server = PipedServer(environment | bench.environment)
    assert server.greet(version)["protocolVersion"] == version
    arguments = {"video": bench.requests["a range of time"]["videos"][0], "num_frames": 1}
    result = server.ask(1, "tools/call", {"name": "video_frames", "arguments": arguments})["result"]
    assert [block["type"] for block in result["content"]] == ["text", "image", *["resource_link"] * links]
    server.hang_up()
    assert server.end()[0] == 0


NOISY = """
import logging, os, subprocess, sys
class Prints(logging.Handler):
    def emit(self, record):
        print("printed")
        os.write(1, b"written\\n")
        subprocess.run([sys.executable, "-c", "import sys; print('by a child', repr(sys.stdin.read()))"])
logging.getLogger("video_tool.tools").addHandler(Prints())
from video_tool.cli import main
main(["mcp"])
"""


def test_what_others_print_is_not_taken_for_the_protocol(environment: dict[str, str]) -> None:
    server = PipedServer(environment, ("-c", NOISY))
    server.greet()
    server.send({"id": 1, "method": "tools/call", "params": {"name": "video_qa", "arguments": {}}})
    assert server.receive()["result"]["isError"]
    server.hang_up()
    code, out, err = server.end()
    assert (code, out) == (0, "")
    assert {"printed", "written", "by a child ''"} <= set(err.splitlines())


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_without_standard_streams_it_says_so(environment: dict[str, str], closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m video_tool mcp {closed}'],
        env=unmeasured() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "standard input or output is closed" in done.stderr


async def _frames_of(bench: Bench) -> Any:
    arguments = {"video": bench.requests["a range of time"]["videos"][0], "num_frames": 2}
    async with Client(program(bench)) as client:
        return (await client.call_tool("video_frames", arguments)).structured_content


@pytest.mark.slow
def test_eight_processes_at_once_give_the_same(bench: Bench) -> None:
    async def main() -> list[Any]:
        return await asyncio.gather(*[_frames_of(bench) for _ in range(8)])

    results = asyncio.run(main())
    arguments = {"video": bench.requests["a range of time"]["videos"][0], "num_frames": 2}
    assert results == [bench.toolbox.call("video_frames", arguments).readable] * 8
