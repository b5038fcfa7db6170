"""What the README shows works."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.providers.scripted import ToolCall, serve_script
from video_tool.adapters import shared_toolbox
from video_tool.builtin import DEMO_VIDEO

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ASKING = (ROOT / "docs/asking.md").read_text()
TOOLS = (ROOT / "docs/tools.md").read_text()
COMMANDS = re.findall(r"^\$ (video-tool .*)$", README + TOOLS, re.MULTILINE)


def test_the_python_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {})
    lines = printed.getvalue().splitlines()
    assert lines[0] == "A red circle is first moving right, then growing."
    assert len(lines) == 1 + 6 + 1


def test_the_page_on_asking_runs() -> None:
    """From its first line to its last, as one would read it."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", ASKING, re.DOTALL))
    known: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "asking.md", "exec"), known)
    assert "It is a circle." in printed.getvalue()
    assert "It is red." in printed.getvalue()
    assert known["answer"].model.kind == "base"  # type: ignore[attr-defined]


def test_the_page_on_tools_runs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """With the providers' own clients, which find a scripted model where their variables say."""
    ask = ToolCall("video_qa", {"question": "What happens in the video?", "videos": [str(DEMO_VIDEO)], "num_frames": 6})
    with serve_script([[ask], lambda seen: f"Told: {seen.results[0].text}"]) as server:
        variables = {
            "OPENAI_BASE_URL": f"{server.url}/v1",
            "ANTHROPIC_BASE_URL": server.url,
            "GOOGLE_GEMINI_BASE_URL": server.url,
            **dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "none"),
            "VIDEO_TOOL_MODEL": "builtin",
            "VIDEO_TOOL_ALLOWED_ROOTS": str(DEMO_VIDEO.parent),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        shared_toolbox.cache_clear()
        request.addfinalizer(shared_toolbox.cache_clear)
        code = "\n".join(re.findall(r"```python\n(.*?)```", TOOLS, re.DOTALL))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "tools.md", "exec"), {})
    assert printed.getvalue().count("Told: ") == 4
    assert printed.getvalue().count("A red circle is first moving right, then growing.") == 5
    assert len(server.requests) == 8


RUN_ALL = """
import shlex, sys
from video_tool.cli import main
for command in sys.argv[1:]:
    try:
        main(shlex.split(command)[1:])
    except SystemExit as left:
        print(f"\\x1e{left.code}\\x1e", flush=True)
"""
"""One after another in one process: what takes long is to import torch."""


def test_the_commands_run(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("one.mp4", "two.mp4"):
        shutil.copy(DEMO_VIDEO, tmp_path / name)
    Image.new("RGB", (64, 64), "black").save(tmp_path / "picture.png")
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, *COMMANDS],
        cwd=tmp_path,
        env={"PATH": "", "VIDEO_TOOL_CACHE_DIR": str(tmp_path), "VIDEO_TOOL_MODEL": "builtin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    printed = done.stdout.split("\x1e")
    assert printed[1::2] == ["0"] * len(COMMANDS), done.stderr
    silent = [command for command, out in zip(COMMANDS, printed[::2], strict=False) if not out.strip()]
    assert all("sheet.png" in command for command in silent)
    assert (tmp_path / "sheet.png").exists()


def test_the_two_commands_are_targets_of_make() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"(?:^\$ |`)make ([\w-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= shown <= targets


def test_what_the_tree_names_is_there() -> None:
    tree = README.split("```\nsrc/video_tool/", 1)[1].split("```")[0]
    for name in re.findall(r"^  (\w+(?:\.py|/))", tree, re.MULTILINE):
        assert (ROOT / "src/video_tool" / name).exists(), name


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target
