"""`video-tool mcp`: its options, and what is wrong with them. What it serves is tested in tests/adapters/mcp."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Program, Run


@pytest.mark.parametrize("option", [("--port", "1"), ("--host", "localhost"), ("--token-file", "x")])
def test_options_of_http_need_http(run: Run, option: tuple[str, str]) -> None:
    done = run("mcp", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Add --http" in done.stderr


def test_others_than_this_machine_need_a_token(run: Run) -> None:
    done = run("mcp", "--http", "--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "VIDEO_TOOL_MCP_TOKEN" in done.stderr


@pytest.mark.parametrize("token", ["", "two words", "größe", "a\tb"])
def test_a_token_that_no_header_can_hold_is_refused(run: Run, tmp_path: Path, token: str) -> None:
    done = run("mcp", "--http", "--port", "0", env={"VIDEO_TOOL_MCP_TOKEN": token})
    assert done.returncode == 2
    assert "VIDEO_TOOL_MCP_TOKEN holds no token" in done.stderr
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    done = run("mcp", "--http", "--port", "0", "--token-file", file)
    assert done.returncode == 2
    assert "holds no token" in done.stderr


def test_a_token_file_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    done = run("mcp", "--http", "--token-file", tmp_path / "none")
    assert done.returncode == 2
    assert "can't be read" in done.stderr


def test_settings_that_make_no_sense_are_told_at_once(run: Run) -> None:
    done = run("mcp", env={"VIDEO_TOOL_MAX_CALLS": "none"})
    assert done.returncode == 2
    assert "VIDEO_TOOL_MAX_CALLS" in done.stderr


def test_without_the_sdk_it_says_what_to_install(program: Program) -> None:
    none = "import sys\nsys.modules['mcp_types'] = None\nfrom video_tool.cli import main\nmain(['mcp'])"
    done = program(code=none)
    assert (done.returncode, done.stdout) == (7, "")
    assert "pip install 'video-tool[mcp]'" in done.stderr


def test_it_serves_and_ends_with_its_client(program: Program) -> None:
    done = program("mcp", stdin=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    assert done.returncode == 0
    assert done.stderr == ""
