"""The tools in CrewAI's own crews, with a scripted model."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.hooks import ToolCallHookContext, register_after_tool_call_hook, unregister_after_tool_call_hook
from crewai.llms.base_llm import BaseLLM
from crewai.tools import ToolFailure
from crewai_video_tool import VideoProbeTool, VideoQATool
from pydantic import PrivateAttr

from video_tool.adapters import Toolbox, ToolResult, shared_toolbox
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests

README = (Path(__file__).parents[1] / "README.md").read_text()
QUESTION = "What happens in the video?"


class Scripted(BaseLLM):
    """Asks for tools, then says that it has seen; keeps what tools gave."""

    asked: list[dict[str, Any]]
    name: str = "video_qa"
    _given: list[str] = PrivateAttr(default_factory=list)
    _shown: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    def call(self, messages: Any, tools: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._given[:] = [message["content"] for message in messages if message["role"] == "tool"]
        if self._given:
            return "Seen."
        self._shown[:] = tools
        return [
            {"id": f"call{i}", "type": "function", "function": {"name": self.name, "arguments": json.dumps(one)}}
            for i, one in enumerate(self.asked)
        ]

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    def supports_function_calling(self) -> bool:
        return True


def crew(toolbox: Toolbox, *asked: dict[str, Any], name: str = "video_qa") -> tuple[Crew, Scripted]:
    script = Scripted(model="scripted", asked=list(asked), name=name)
    tools = [VideoQATool(toolbox=toolbox), VideoProbeTool(toolbox=toolbox)]
    watcher = Agent(role="Watcher", goal="Watch videos.", backstory="You watch videos.", llm=script, tools=tools)
    task = Task(description="Look.", expected_output="What is to be seen.", agent=watcher)
    return Crew(agents=[watcher], tasks=[task]), script


@pytest.fixture
def raw() -> Iterator[list[Any]]:
    """What hooks get of calls."""
    told: list[Any] = []

    def hear(context: ToolCallHookContext) -> None:
        told.append(context.raw_tool_result)

    register_after_tool_call_hook(hear)
    yield told
    unregister_after_tool_call_hook(hear)


class InACrew(Surface):
    """A model asks an agent for the tool."""

    def __init__(self, toolbox: Toolbox, raw: list[Any]) -> None:
        self._toolbox = toolbox
        self._raw = raw

    def call(self, arguments: dict[str, Any]) -> Outcome:
        team, script = crew(self._toolbox, arguments)
        done = team.kickoff()
        assert done.raw == "Seen."
        told = self._raw.pop()
        (given,) = script._given
        if isinstance(told, ToolFailure):
            assert [record.failure for record in done.tasks_output[0].tool_failures] == [told]
            return Outcome(given, None, told.code)
        assert isinstance(told, ToolResult)
        return Outcome(given, told.readable, None)


class TestInACrew(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench, raw: list[Any]) -> Surface:
        return InACrew(bench.toolbox, raw)


@pytest.mark.parametrize("awaited", [False, True])
def test_two_calls_at_once(bench: Bench, awaited: bool) -> None:
    asked = [{"question": QUESTION, "videos": [video]} for video in bench.requests["two videos"]["videos"]]
    team, script = crew(bench.toolbox, *asked)
    done = asyncio.run(team.akickoff()) if awaited else team.kickoff()
    assert done.raw == "Seen."
    first, second = script._given
    assert "A red circle is moving right." in first
    assert "A blue square is moving up." in second


def test_what_small_models_write_is_taken_or_answered(bench: Bench) -> None:
    red = bench.requests["two videos"]["videos"][0]
    sloppy = {"question": QUESTION, "videos": red, "images": None, "start": None}
    team, script = crew(bench.toolbox, sloppy, {"question": QUESTION, "video": [red]})
    team.kickoff()
    taken, answered = script._given
    assert "A red circle is moving right." in taken
    assert "did you mean videos?" in answered


def test_models_are_shown_the_tools(bench: Bench) -> None:
    team, script = crew(bench.toolbox, {"video": bench.requests["two videos"]["videos"][0]}, name="video_probe")
    team.kickoff()
    shown = {tool["function"]["name"]: tool["function"] for tool in script._shown}
    assert {"video_qa", "video_probe"} <= shown.keys()
    assert "question" in shown["video_qa"]["parameters"]["required"]
    assert script._given[0].startswith("2.00 s long, 128×96 pixels")


def test_callers_await_it(bench: Bench) -> None:
    tool = VideoQATool(toolbox=bench.toolbox)
    result = asyncio.run(tool.arun(**bench.requests["two videos"]))
    assert tool.format_output_for_agent(result) == bench.expected("two videos").text
    failure = asyncio.run(tool.arun(**bench.requests["a refused path"]))
    assert isinstance(failure, ToolFailure)
    assert failure.code == "source_refused"


def test_copies_of_a_crew_share_one_engine(bench: Bench) -> None:
    """One is made for each input of `kickoff_for_each`."""
    team, _ = crew(bench.toolbox)
    tools = team.copy().agents[0].tools
    assert tools
    assert all(tool.toolbox is bench.toolbox for tool in tools)


def test_the_readme_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    red = bench.requests["two videos"]["videos"][0]
    script = Scripted(model="scripted", asked=[{"question": QUESTION, "videos": [red]}])
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shared_toolbox.cache_clear()
    try:
        exec(compile(code, "README.md", "exec"), {"llm": script})
    finally:
        shared_toolbox.cache_clear()
    assert "A red circle is moving right." in script._given[0]
    assert "Seen." in capsys.readouterr().out.splitlines()
