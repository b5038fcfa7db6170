"""The tools in AutoGen's own agents, with its own scripted model."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import ToolCallExecutionEvent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import EVENT_LOGGER_NAME, CancellationToken, FunctionCall
from autogen_core.models import CreateResult, FunctionExecutionResult, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from autogen_video_tool import VideoTool, VideoToolCallError, VideoToolCallEvent, video_tools

from video_tool.adapters import Toolbox, ToolResult, shared_toolbox, tool_schema
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests

README = (Path(__file__).parents[1] / "README.md").read_text()
INFO = ModelInfo(vision=True, function_calling=True, json_output=False, family="unknown", structured_output=False)


def calls(*arguments: dict[str, Any], name: str = "video_qa") -> CreateResult:
    """What a model says that calls a tool, once for each arguments."""
    made = [FunctionCall(id=f"call{i}", name=name, arguments=json.dumps(one)) for i, one in enumerate(arguments)]
    usage = RequestUsage(prompt_tokens=0, completion_tokens=0)
    return CreateResult(finish_reason="function_calls", content=made, usage=usage, cached=False)


def model(*says: str | CreateResult) -> ReplayChatCompletionClient:
    return ReplayChatCompletionClient(list(says), model_info=INFO)


def agent(toolbox: Toolbox, *says: str | CreateResult) -> AssistantAgent:
    tools = video_tools(toolbox)
    return AssistantAgent("watcher", model(*says), tools=tools, reflect_on_tool_use=len(says) > 1)


def executed(done: TaskResult) -> list[FunctionExecutionResult]:
    return [result for event in done.messages if isinstance(event, ToolCallExecutionEvent) for result in event.content]


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> list[ToolResult]:
    """What the events of calls tell, as they come."""
    told: list[ToolResult] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.msg, VideoToolCallEvent):
                told.append(record.msg.outcome)

    caplog.set_level(logging.INFO, EVENT_LOGGER_NAME)
    handler = Listening()
    logging.getLogger(EVENT_LOGGER_NAME).addHandler(handler)
    yield told
    logging.getLogger(EVENT_LOGGER_NAME).removeHandler(handler)


class InAnAgent(Surface):
    """A model asks an `AssistantAgent` for the tool."""

    def __init__(self, toolbox: Toolbox, outcomes: list[ToolResult]) -> None:
        self._toolbox = toolbox
        self._outcomes = outcomes

    def call(self, arguments: dict[str, Any]) -> Outcome:
        done = asyncio.run(agent(self._toolbox, calls(arguments)).run(task="Look."))
        (result,) = executed(done)
        outcome = self._outcomes.pop()
        assert result.is_error == (outcome.error is not None)
        return Outcome(result.content, outcome.readable, outcome.error and outcome.error.code)

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        async def main() -> None:
            token = CancellationToken()
            watcher = agent(self._toolbox, calls(arguments))
            run = asyncio.ensure_future(watcher.run(task="Look.", cancellation_token=token))
            await asyncio.to_thread(begun.wait)
            token.cancel()
            (result,) = executed(await run)
            assert result.is_error

        asyncio.run(main())
        error = self._outcomes.pop().error
        return error and error.code


class TestInAnAgent(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench, outcomes: list[ToolResult]) -> Surface:
        return InAnAgent(bench.toolbox, outcomes)


def test_a_model_asks_and_gets_the_answer(bench: Bench) -> None:
    red = bench.requests["two videos"]["videos"][0]
    watcher = agent(bench.toolbox, calls({"question": "What happens in the video?", "videos": [red]}), "A red circle.")
    done = asyncio.run(watcher.run(task="Look."))
    (result,) = executed(done)
    assert "A red circle is moving right." in result.content
    assert done.messages[-1].to_text() == "A red circle."


def test_two_calls_at_once(bench: Bench) -> None:
    red, blue = bench.requests["two videos"]["videos"]
    question = "What happens in the video?"
    both = calls({"question": question, "videos": [red]}, {"question": question, "videos": [blue]})
    first, second = executed(asyncio.run(agent(bench.toolbox, both).run(task="Look.")))
    assert (first.call_id, second.call_id) == ("call0", "call1")
    assert "A red circle is moving right." in first.content
    assert "A blue square is moving up." in second.content


def test_what_small_models_write_is_taken_or_answered(bench: Bench) -> None:
    red = bench.requests["two videos"]["videos"][0]
    sloppy = {"question": "What happens in the video?", "videos": red, "images": None, "start": None}
    misspelt = {"question": "What happens in the video?", "video": [red]}
    taken, answered = executed(asyncio.run(agent(bench.toolbox, calls(sloppy, misspelt)).run(task="Look.")))
    assert "A red circle is moving right." in taken.content
    assert answered.is_error
    assert "did you mean videos?" in answered.content


def test_models_are_shown_the_tools(bench: Bench) -> None:
    script = model("Nothing to see.")
    asyncio.run(AssistantAgent("watcher", script, tools=video_tools(bench.toolbox)).run(task="Hello."))
    shown = {tool["name"]: tool for tool in script.create_calls[0]["tools"]}
    assert list(shown) == ["video_qa", "video_probe"]
    assert shown["video_qa"] == tool_schema("openai")["function"]


def test_a_team_has_it_too(bench: Bench) -> None:
    """Teams refuse messages of types that they don't know: the tools send none."""
    red = bench.requests["two videos"]["videos"][0]
    watcher = agent(bench.toolbox, calls({"question": "What happens in the video?", "videos": [red]}), "A red circle.")
    team = RoundRobinGroupChat([watcher], termination_condition=MaxMessageTermination(2))
    assert asyncio.run(team.run(task="Look.")).messages[-1].to_text() == "A red circle."


def test_callers_get_everything(bench: Bench) -> None:
    asked = bench.requests["two videos"]

    async def main() -> None:
        tool = VideoTool("video_qa", bench.toolbox)
        result = await tool.run(tool.args_type().model_validate(asked), CancellationToken())
        assert result.text == bench.expected("two videos").text
        with pytest.raises(VideoToolCallError) as caught:
            await tool.run_json(bench.requests["a refused path"], CancellationToken())
        assert caught.value.error.code == "source_refused"
        frames = VideoTool("video_frames", bench.toolbox)
        assert len((await frames.run_json({"video": asked["videos"][0]}, CancellationToken())).images) == 6

    asyncio.run(main())


def test_a_cancelled_token_ends_a_call_before_it_begins(bench: Bench) -> None:
    async def main() -> None:
        token = CancellationToken()
        token.cancel()
        asked = bench.requests["two videos"]
        with pytest.raises(VideoToolCallError) as caught:
            await VideoTool("video_qa", bench.toolbox).run_json(asked, token)
        assert caught.value.error.code == "cancelled"

    asyncio.run(main())


def test_a_cancelled_task_does_not_wait(bench: Bench) -> None:
    """Deadlines of callers cancel tasks, not tokens."""

    async def main() -> None:
        tool = VideoTool("video_qa", bench.toolbox)
        call = asyncio.ensure_future(tool.run_json(bench.requests["two videos"], CancellationToken()))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())


def test_the_readme_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    shared_toolbox.cache_clear()
    red = bench.requests["two videos"]["videos"][0]
    asked = calls({"question": "What happens in the video?", "videos": [red]})
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    known = {"model_client": model(asked, "A red circle moves right.")}
    try:
        asyncio.run(eval(compiled, known))
    finally:
        shared_toolbox.cache_clear()
    assert capsys.readouterr().out == "A red circle moves right.\n"
