"""The tools in runners of the Agent Development Kit, with a scripted model."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from google.adk.agents import LlmAgent
from google.adk.events import Event
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types
from pydantic import PrivateAttr
from video_tool_adk import RESULTS, VideoToolset

from video_tool.adapters import Toolbox, shared_toolbox, tool_schema
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task

README = (Path(__file__).parents[1] / "README.md").read_text()


class Scripted(BaseLlm):
    """Says what it is told to, and keeps what it was asked."""

    model: str = "scripted"
    says: list[list[types.Part]]
    _asked: list[LlmRequest] = PrivateAttr(default_factory=list)

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        said = self.says[len(self._asked)]
        self._asked.append(llm_request)
        yield LlmResponse(content=types.Content(role="model", parts=said))


def asks(arguments: dict[str, Any], name: str = "video_qa", call: str = "call0") -> types.Part:
    return types.Part(function_call=types.FunctionCall(id=call, name=name, args=arguments))


def model(*asked: types.Part) -> Scripted:
    return Scripted(says=[list(asked), [types.Part.from_text(text="Seen.")]])


async def run(agent: LlmAgent) -> list[Event]:
    runner = InMemoryRunner(agent)
    return await runner.run_debug("Look.", quiet=True)


def watcher(toolbox: Toolbox, *asked: types.Part, **options: Any) -> LlmAgent:
    return LlmAgent(name="watcher", model=model(*asked), tools=[VideoToolset(toolbox)], **options)


async def responses(toolbox: Toolbox, *asked: types.Part) -> tuple[list[types.FunctionResponse], dict[str, Any]]:
    """What the model gets that asks for tools, and what callbacks find in the state, by the ids of calls."""
    told: dict[str, Any] = {}

    def keep(tool: BaseTool, args: dict[str, Any], tool_context: ToolContext, tool_response: dict[str, Any]) -> None:
        call = tool_context.function_call_id
        assert call is not None
        told[call] = tool_context.state[f"{RESULTS}{call}"]

    events = await run(watcher(toolbox, *asked, after_tool_callback=keep))
    assert events[-1].content.parts[0].text == "Seen."
    (event,) = [event for event in events if event.get_function_responses()]
    return event.get_function_responses(), told


class InARunner(Surface):
    """A model asks an agent for the tool."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        (response,), everything = asyncio.run(responses(self._toolbox, asks(arguments)))
        told = everything["call0"]
        if "error" in response.response:
            return Outcome(response.response["error"], told, told["code"])
        return Outcome(response.response["result"], told, None)

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> None:
        cancel_task(lambda: responses(self._toolbox, asks(arguments)), begun)


class TestInARunner(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return InARunner(bench.toolbox)


def test_two_calls_at_once(bench: Bench) -> None:
    red, blue = bench.requests["two videos"]["videos"]
    question = "What happens in the video?"
    (first, second), told = asyncio.run(
        responses(
            bench.toolbox,
            asks({"question": question, "videos": [red]}, call="one"),
            asks({"question": question, "videos": [blue]}, call="two"),
        )
    )
    assert "A red circle is moving right." in first.response["result"]
    assert "A blue square is moving up." in second.response["result"]
    assert [told[call]["videos"][0]["name"] for call in ("one", "two")] == [Path(red).name, Path(blue).name]


def test_models_see_frames(bench: Bench) -> None:
    red = bench.requests["two videos"]["videos"][0]
    (response,), _ = asyncio.run(responses(bench.toolbox, asks({"video": red, "num_frames": 3}, "video_frames")))
    assert response.response["result"].startswith("3 frames of the video")
    assert [part.inline_data.mime_type for part in response.parts] == ["image/jpeg"] * 3


def test_models_are_shown_all_tools_as_they_are_defined(bench: Bench) -> None:
    agent = watcher(bench.toolbox, asks(bench.requests["two videos"]))
    asyncio.run(run(agent))
    assert isinstance(agent.model, Scripted)
    (shown,) = agent.model._asked[0].config.tools
    assert [tool.name for tool in shown.function_declarations] == ["video_qa", "video_probe", "video_frames"]
    assert shown.function_declarations[0] == types.FunctionDeclaration.model_validate(tool_schema("gemini"))


def test_a_toolset_shows_what_is_wanted(bench: Bench) -> None:
    tools = asyncio.run(VideoToolset(bench.toolbox, tool_filter=["video_qa"]).get_tools())
    assert [tool.name for tool in tools] == ["video_qa"]


def test_results_stay_out_of_the_session(bench: Bench) -> None:
    """Its state is kept for as long as a conversation lasts, and shown to models by some instructions."""

    async def main() -> dict[str, Any]:
        runner = InMemoryRunner(watcher(bench.toolbox, asks(bench.requests["two videos"])))
        await runner.run_debug("Look.", user_id="user", session_id="session", quiet=True)
        session = await runner.session_service.get_session(
            app_name=runner.app_name, user_id="user", session_id="session"
        )
        assert session is not None
        return session.state

    assert not [key for key in asyncio.run(main()) if key.startswith(RESULTS)]


def test_the_readme_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    shared_toolbox.cache_clear()
    red = bench.requests["two videos"]["videos"][0]
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    script = model(asks({"question": "What happens in the video?", "videos": [red]}))
    try:
        asyncio.run(eval(compiled, {"model": script}))
    finally:
        shared_toolbox.cache_clear()
    given = script._asked[-1].contents[-1].parts[0].function_response.response["result"]
    assert "A red circle is moving right." in given
    assert capsys.readouterr().out == "Seen.\n"
