"""The tools in Haystack's own agents and pipelines, with a scripted chat generator."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline, component, default_from_dict, default_to_dict
from haystack.components.agents import Agent
from haystack.components.builders import PromptBuilder
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ChatMessage, ImageContent, TextContent, ToolCall, ToolCallResult
from haystack.tools import ToolsType
from haystack_integrations.components.readers.video_tool import VideoReader
from haystack_integrations.tools.video_tool import VideoTool, VideoToolInvocationError, VideoToolset

from video_tool.adapters import Toolbox, shared_toolbox
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task

README = (Path(__file__).parents[1] / "README.md").read_text()
QUESTION = "What happens in the video?"


@component
class Scripted:
    """Asks for tools, then says that it has seen."""

    def __init__(self, asked: list[dict[str, Any]], name: str = "video_qa") -> None:
        self.asked = asked
        self.name = name

    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage], tools: ToolsType | None = None) -> dict[str, Any]:
        if messages[-1].tool_call_results:
            return {"replies": [ChatMessage.from_assistant("Seen.")]}
        calls = [ToolCall(self.name, arguments, id=f"call{i}") for i, arguments in enumerate(self.asked)]
        return {"replies": [ChatMessage.from_assistant(tool_calls=calls)]}

    @component.output_types(replies=list[ChatMessage])
    async def run_async(self, messages: list[ChatMessage], tools: ToolsType | None = None) -> dict[str, Any]:
        return self.run(messages, tools)

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, asked=self.asked, name=self.name)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Scripted:
        return default_from_dict(cls, data)


def agent(toolbox: Toolbox, *asked: dict[str, Any], name: str = "video_qa", **options: Any) -> Agent:
    tools = VideoToolset(toolbox, outputs_to_state={"videos": {"source": "content"}})
    return Agent(
        chat_generator=Scripted(list(asked), name), tools=tools, state_schema={"videos": {"type": list}}, **options
    )


def look() -> list[ChatMessage]:
    return [ChatMessage.from_user("Look.")]


def results(done: dict[str, Any]) -> list[ToolCallResult]:
    assert done["last_message"].text == "Seen."
    return [result for message in done["messages"] for result in message.tool_call_results]


class InAnAgent(Surface):
    """A model asks an agent for the tool."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        done = agent(self._toolbox, arguments).run(look())
        (result,) = results(done)
        if not result.error:
            return Outcome(str(result.result), done["videos"][0], None)
        with pytest.raises(VideoToolInvocationError) as caught:
            agent(self._toolbox, arguments, raise_on_tool_invocation_failure=True).run(look())
        return Outcome(str(result.result), None, caught.value.error.code)


class InAnAwaitedAgent(Surface):
    """As `InAnAgent`, awaited."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        done = asyncio.run(agent(self._toolbox, arguments).run_async(look()))
        (result,) = results(done)
        if not result.error:
            return Outcome(str(result.result), done["videos"][0], None)
        failing = agent(self._toolbox, arguments, raise_on_tool_invocation_failure=True)
        with pytest.raises(VideoToolInvocationError) as caught:
            asyncio.run(failing.run_async(look()))
        return Outcome(str(result.result), None, caught.value.error.code)

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> None:
        cancel_task(lambda: agent(self._toolbox, arguments).run_async(look()), begun)


class InAPipeline(Surface):
    """A pipeline runs the component."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._pipeline = Pipeline()
        self._pipeline.add_component("reader", VideoReader(toolbox))

    def call(self, arguments: dict[str, Any]) -> Outcome:
        try:
            done = self._pipeline.run({"reader": named(arguments)})["reader"]
        except PipelineRuntimeError as failed:
            cause = failed.__cause__
            assert isinstance(cause, VideoToolInvocationError)
            return Outcome(str(cause), None, cause.error.code)
        (answer,) = done["answers"]
        assert answer.query == arguments["question"]
        assert answer.data == answer.meta["text"]
        return Outcome(done["text"], answer.meta, None)


def named(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"query" if name == "question" else name: value for name, value in arguments.items()}


class TestInAnAgent(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return InAnAgent(bench.toolbox)


class TestInAnAwaitedAgent(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return InAnAwaitedAgent(bench.toolbox)


class TestInAPipeline(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return InAPipeline(bench.toolbox)


@pytest.mark.parametrize("awaited", [False, True])
def test_two_calls_at_once(bench: Bench, awaited: bool) -> None:
    red, blue = bench.requests["two videos"]["videos"]
    watcher = agent(bench.toolbox, {"question": QUESTION, "videos": [red]}, {"question": QUESTION, "videos": [blue]})
    done = asyncio.run(watcher.run_async(look())) if awaited else watcher.run(look())
    first, second = results(done)
    assert "A red circle is moving right." in first.result
    assert "A blue square is moving up." in second.result
    assert [answer["videos"][0]["name"] for answer in done["videos"]] == [Path(red).name, Path(blue).name]


def test_models_see_frames(bench: Bench) -> None:
    red = bench.requests["two videos"]["videos"][0]
    watcher = agent(bench.toolbox, {"video": red, "num_frames": 3}, name="video_frames")
    (result,) = results(watcher.run(look()))
    words, *pictures = result.result
    assert isinstance(words, TextContent)
    assert words.text.startswith("3 frames of the video")
    assert [type(picture) for picture in pictures] == [ImageContent] * 3


def test_an_agent_is_saved_and_loaded(bench: Bench) -> None:
    """In a pipeline's YAML; what is loaded shares one engine."""
    red = bench.requests["two videos"]["videos"][0]
    pipeline = Pipeline()
    pipeline.add_component("watcher", agent(bench.toolbox, {"question": QUESTION, "videos": [red]}))
    pipeline.add_component("reader", VideoReader(bench.toolbox))
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=[__name__])  # the scripted model is none of Haystack's
    done = loaded.run({"watcher": {"messages": look()}, "reader": {"query": QUESTION, "videos": [red]}})
    (result,) = results(done["watcher"])
    assert "A red circle is moving right." in result.result
    assert done["reader"]["answers"][0].data == "A red circle is moving right."
    tools = loaded.get_component("watcher").tools
    assert {id(tool._toolbox) for tool in tools} == {id(loaded.get_component("reader")._toolbox)}


def test_a_tool_alone_is_saved_and_loaded() -> None:
    loaded = VideoTool.from_dict(VideoTool("video_probe").to_dict())
    assert loaded.name == "video_probe"
    assert loaded._toolbox is shared_toolbox()


def test_a_component_is_connected(bench: Bench) -> None:
    red = bench.requests["two videos"]["videos"][0]
    pipeline = Pipeline()
    pipeline.add_component("reader", VideoReader(bench.toolbox))
    pipeline.add_component("prompt", PromptBuilder("Seen: {{ seen }}", required_variables="*"))
    pipeline.connect("reader.text", "prompt.seen")
    prompt = pipeline.run({"reader": {"query": QUESTION, "videos": [red]}})["prompt"]["prompt"]
    assert "A red circle is moving right." in prompt
    assert "<untrusted-video-content>" in prompt


def test_the_readme_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    red = Path(bench.requests["two videos"]["videos"][0])
    monkeypatch.chdir(red.parent)
    red.with_name("clip.mp4").write_bytes(red.read_bytes())
    shared_toolbox.cache_clear()
    script = Scripted([{"question": QUESTION, "videos": ["clip.mp4"]}])
    known: dict[str, Any] = {"chat_generator": script}
    try:
        for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
            exec(compile(code, "README.md", "exec"), known)
    finally:
        shared_toolbox.cache_clear()
    assert capsys.readouterr().out == "Seen.\nA red circle is moving right.\n"
