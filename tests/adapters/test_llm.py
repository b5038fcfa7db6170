"""`llm`, as its users run it: it finds the tools and the fragments by itself, and a scripted model uses them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
import pytest
from click.testing import CliRunner
from llm.cli import cli
from llm.default_plugins.openai_models import Chat

from tests.programs import unmeasured
from tests.providers.scripted import ScriptedServer, Seen, ToolCall, Turn, serve_script
from video_tool.adapters import shared_toolbox
from video_tool.adapters.llm import FailedCallError, load_video
from video_tool.builtin import DEMO_VIDEO
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests

QUESTION = "What happens in the video?"


def echo(seen: Seen) -> str:
    return seen.results[-1].text


def variables(server: ScriptedServer, folder: Path) -> dict[str, str]:
    """With which `llm` has the scripted model as a model of its own."""
    model = {"model_id": "scripted", "model_name": "scripted", "api_base": f"{server.url}/v1"}
    able = {"supports_tools": True, "vision": True}
    folder.joinpath("extra-openai-models.yaml").write_text(json.dumps([model | able]))  # JSON is YAML
    return {
        "LLM_USER_PATH": str(folder),
        "OPENAI_API_KEY": "none",
        "VIDEO_TOOL_MODEL": "builtin",
        "VIDEO_TOOL_ALLOWED_ROOTS": str(DEMO_VIDEO.parent),
    }


def run_llm(server: ScriptedServer, folder: Path, *arguments: str) -> str:
    """What `llm` prints."""
    command = [str(Path(sys.executable).with_name("llm")), "-m", "scripted", *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=unmeasured() | variables(server, folder),
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_calls_the_tool(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """In this process, where torch needs to be imported once for all tests."""
    shared_toolbox.cache_clear()
    request.addfinalizer(shared_toolbox.cache_clear)
    turns: list[Turn] = [[ToolCall("video_qa", {"question": QUESTION, "videos": [str(DEMO_VIDEO)]})], echo]
    with serve_script(turns) as server:
        asked = ["-m", "scripted", "-T", "video_qa", f"{QUESTION} {DEMO_VIDEO}"]
        done = CliRunner().invoke(cli, asked, env=variables(server, tmp_path))
    assert done.exit_code == 0, done.stderr
    assert "A red circle is first moving right, then growing." in done.stdout
    assert "It rests on 0.00, 0.50, 1.00" in done.stdout


def test_a_model_is_shown_the_frames_of_a_fragment(tmp_path: Path) -> None:
    with serve_script([lambda seen: f"I see {len(seen.images)} pictures."]) as server:
        said = run_llm(server, tmp_path, "-f", f"video:{DEMO_VIDEO}?num_frames=3&start=1", QUESTION)
        (_, body), *_ = server.requests
    assert said.strip() == "I see 3 pictures."
    assert "3 frames of the video: 1.00, 2.00, 3.00 s." in str(body)


class TestFragments:
    @pytest.mark.parametrize(
        ("behind", "times"),
        [("", 8), ("?num_frames=2", 2), ("?timestamps=0.5,3", 2), ("?start=1&end=2&num_frames=5", 5)],
    )
    def test_what_is_behind_the_question_mark_chooses_frames(self, behind: str, times: int) -> None:
        words, *pictures = load_video(f"{DEMO_VIDEO}{behind}")
        assert isinstance(words, llm.Fragment)
        assert words.source == f"video:{DEMO_VIDEO}{behind}"
        assert len(pictures) == times
        assert all(isinstance(picture, llm.Attachment) and picture.type == "image/jpeg" for picture in pictures)

    def test_an_address_keeps_a_query_of_its_own(self) -> None:
        with pytest.raises(FailedCallError, match="The video is not allowed"):
            load_video("http://127.0.0.1:9/watch?v=num_frames")
        with pytest.raises(FailedCallError, match="There is nothing at the video"):
            load_video("missing.mp4?num_frames=2")

    def test_users_read_their_own_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own.mp4").write_bytes(DEMO_VIDEO.read_bytes())
        assert len(load_video("own.mp4?num_frames=2")) == 3


class Llm(Surface):
    """A conversation in which the model calls the tool once."""

    has_receipt = False

    def call(self, arguments: dict[str, Any]) -> Outcome:
        heard: list[llm.ToolResult] = []
        turns: list[Turn] = [[ToolCall("video_qa", arguments)], echo]
        with serve_script(turns) as server:
            model = Chat("scripted", api_base=f"{server.url}/v1", supports_tools=True)
            chain = model.chain(
                QUESTION,
                tools=[llm.get_tools()["video_qa"]],
                key="none",
                after_call=lambda _tool, _call, result: heard.append(result),
            )
            said = chain.text()
        (result,) = heard
        assert said == result.output
        failed = result.exception
        assert failed is None or isinstance(failed, FailedCallError)
        return Outcome(said, None, failed and failed.error.code)


class TestLlm(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Surface]:
        for name, value in bench.environment.items():
            monkeypatch.setenv(name, value)
        shared_toolbox.cache_clear()
        yield Llm()
        shared_toolbox.cache_clear()
