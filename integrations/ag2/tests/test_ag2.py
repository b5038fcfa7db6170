"""The tools in AG2's own agents, with its own scripted model."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from ag2 import Agent, Context
from ag2.events import BinaryInput, TextInput, ToolCallEvent, ToolErrorEvent, ToolResultEvent
from ag2.middleware import BaseMiddleware, ToolExecution
from ag2.testing import TestConfig, TrackingConfig
from ag2_video_tool import VideoTool, VideoToolCallError, VideoToolkit

from video_tool.adapters import Toolbox, shared_toolbox, tool_schema
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task

README = (Path(__file__).parents[1] / "README.md").read_text()


def asks(arguments: dict[str, Any] | str, name: str = "video_qa", **more: Any) -> ToolCallEvent:
    return ToolCallEvent(name, arguments=arguments if isinstance(arguments, str) else json.dumps(arguments), **more)


def model(*says: Any) -> TrackingConfig:
    return TrackingConfig(TestConfig(*says, raise_tool_errors=False))


async def results(toolbox: Toolbox, *asked: ToolCallEvent, **options: Any) -> list[ToolResultEvent]:
    """What the model gets that asks for tools, in the order in which it asked."""
    script = model(list(asked), "Seen.")
    reply = await Agent("watcher", config=script, tools=[VideoToolkit(toolbox)], **options).ask("Look.")
    assert reply.body == "Seen."
    return script.mock.call_args_list[-1].args[0].results


class InAnAgent(Surface):
    """A model asks an agent for the tool."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        (event,) = asyncio.run(results(self._toolbox, asks(arguments)))
        (part,) = event.result.parts
        assert isinstance(part, TextInput)
        told = event.result.metadata["video_tool"]
        if not isinstance(event, ToolErrorEvent):
            return Outcome(part.content, told, None)
        assert isinstance(event.error, VideoToolCallError)
        assert event.error.error.code == told["code"]
        return Outcome(part.content, told, told["code"])

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> None:
        cancel_task(lambda: results(self._toolbox, asks(arguments)), begun)


class TestInAnAgent(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return InAnAgent(bench.toolbox)


def text(event: ToolResultEvent) -> str:
    return event.result.parts[0].content


def test_two_calls_at_once(bench: Bench) -> None:
    red, blue = bench.requests["two videos"]["videos"]
    asked = [asks({"question": "What happens in the video?", "videos": [video]}) for video in (red, blue)]
    first, second = asyncio.run(results(bench.toolbox, *asked))
    assert [first.parent_id, second.parent_id] == [call.id for call in asked]
    assert "A red circle is moving right." in text(first)
    assert "A blue square is moving up." in text(second)


def test_models_see_frames(bench: Bench) -> None:
    red = bench.requests["two videos"]["videos"][0]
    (event,) = asyncio.run(results(bench.toolbox, asks({"video": red, "num_frames": 3}, "video_frames")))
    words, *pictures = event.result.parts
    assert words.content.startswith("3 frames of the video")
    assert all(isinstance(picture, BinaryInput) and picture.media_type == "image/jpeg" for picture in pictures)
    assert len(pictures) == 3


def test_what_models_write_that_is_no_json_is_answered(bench: Bench) -> None:
    (event,) = asyncio.run(results(bench.toolbox, asks('{"question": ')))
    assert isinstance(event, ToolErrorEvent)
    assert "one JSON object" in text(event)


def test_models_are_shown_all_tools_as_they_are_defined(bench: Bench) -> None:
    script = model("Nothing to see.")
    asyncio.run(Agent("watcher", config=script, tools=[VideoToolkit(bench.toolbox)]).ask("Hello."))
    shown = {schema.function.name: schema.function for schema in script.calls[0].tools}
    assert list(shown) == ["video_qa", "video_probe", "video_frames"]
    assert shown["video_qa"].parameters == tool_schema("openai")["function"]["parameters"]


def test_agents_share_one_engine(bench: Bench) -> None:
    """They copy the tools that they are given."""
    tool = VideoTool("video_qa", bench.toolbox)
    red = bench.requests["two videos"]["videos"][0]
    script = model(asks({"question": "What happens in the video?", "videos": [red]}), "Seen.")
    asyncio.run(Agent("watcher", config=script, tools=[tool]).ask("Look."))
    assert "A red circle is moving right." in text(script.mock.call_args_list[-1].args[0].results[0])


def test_middleware_of_agents_is_run(bench: Bench) -> None:
    heard: list[str | None] = []

    class Listening(BaseMiddleware):
        async def on_tool_execution(self, call_next: ToolExecution, event: ToolCallEvent, context: Context) -> Any:
            heard.append(event.source)
            return await call_next(event, context)

    asked = asks(bench.requests["two videos"])
    asyncio.run(results(bench.toolbox, asked, middleware=[Listening]))
    assert heard == ["video_tool:video_qa"]


def test_the_readme_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    shared_toolbox.cache_clear()
    red = bench.requests["two videos"]["videos"][0]
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    script = model(asks({"question": "What happens in the video?", "videos": [red]}), "A red circle moves right.")
    try:
        asyncio.run(eval(compiled, {"config": script}))
    finally:
        shared_toolbox.cache_clear()
    assert "A red circle is moving right." in text(script.mock.call_args_list[-1].args[0].results[0])
    assert capsys.readouterr().out == "A red circle moves right.\n"
