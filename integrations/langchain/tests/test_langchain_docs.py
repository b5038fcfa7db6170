"""What the pages show works, and so does the example; the chat model that they name is played by a server."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_completions import chat_completions
from langchain_video_tool.engine import EngineFields

HERE = Path(__file__).parents[1]
EXAMPLE = HERE.parents[1] / "examples" / "langchain_agent.py"
ANSWER = "A red circle is first moving right, then growing."

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with chat_completions() as server:
        monkeypatch.setenv("OPENAI_API_BASE", f"{server.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("page", ["README.md", "docs.md"])
def test_the_python_of_a_page_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From its first line to its last, as one would read it."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", (HERE / page).read_text(), re.DOTALL))
    exec(compile(code, page, "exec"), {})
    printed = capsys.readouterr().out
    assert ANSWER in printed
    if page == "docs.md":
        (shown,) = re.findall(r"```text\n(.*?)```", (HERE / page).read_text(), re.DOTALL)
        assert shown in printed
        assert "It is red.\n[0.0, 1.0, 2.0, 3.0]\n" in printed
        assert "error source_refused\n" in printed
        assert "generate 1 tokens\n" in printed
        assert "['text', 'image', 'image', " in printed


def test_the_page_lists_all_fields() -> None:
    listed = (HERE / "docs.md").read_text().split("## API reference")[1]
    assert set(EngineFields.model_fields) <= set(re.findall(r"`(\w+)`", listed))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("chat_model", [(), ("openai:some",)])
def test_the_example_runs(
    square: str, chat_model: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), square, "What colour is it?", *chat_model])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    out, err = capsys.readouterr()
    assert out.lstrip().startswith("video_qa: What colour is it?")
    assert "  8 frames, " in out
    assert "It is blue." in out
    assert "  decode: 8 frames\n  generate: 1 tokens\n" in err
