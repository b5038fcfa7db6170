"""What the MCP registry and agents are told of the server, held together."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SERVER = json.loads((ROOT / "server.json").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs/mcp.md").read_text()


def test_the_readme_has_the_mark_that_the_registry_looks_for() -> None:
    marks = re.findall(r"mcp-name: (\S+)", (ROOT / "README.md").read_text())
    assert marks == [SERVER["name"]]
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])


def test_the_registry_is_told_of_this_package_in_this_version() -> None:
    (package,) = SERVER["packages"]
    assert (package["identifier"], package["version"]) == (PROJECT["name"], PROJECT["version"])
    assert SERVER["version"] == PROJECT["version"]
    assert len(SERVER["description"]) <= 100  # the registry takes no more
    (needs,) = (argument["value"] for argument in package["runtimeArguments"])
    assert needs in PROJECT["optional-dependencies"]["mcp"]


def _servers(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    found = [value] if "command" in value or "url" in value else []
    return found + [server for inner in value.values() for server in _servers(inner)]


def test_the_configurations_that_are_shown_can_be_read_and_start_the_server() -> None:
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    shown += [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
    servers = _servers(dict(enumerate(shown)))
    assert len(servers) == len(shown)
    for server in servers:
        if "command" in server:
            assert (server["command"], server["args"]) == ("video-tool", ["mcp"])
            assert all(name.startswith("VIDEO_TOOL_") for name in server["env"])
        else:
            assert server["url"] == "http://127.0.0.1:8765/mcp"
