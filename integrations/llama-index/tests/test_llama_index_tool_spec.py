"""The tools in LlamaIndex' own agents, with its mock model and the built-in video model."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentOutput, AgentWorkflow, FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage, MessageRole, MockFunctionCallingLLM
from llama_index.core.tools import ToolMetadata
from llama_index.core.tools.calling import call_tool
from llama_index.core.workflow import Context, JsonSerializer
from llama_index.tools.video_tool import VideoProgressEvent, VideoToolSpec

from video_tool.adapters import TOOLS, Toolbox, ToolResult
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests

README = Path(__file__).parents[1] / "README.md"
RED = "A red circle is moving right."
BLUE = "A blue square is moving up."
WHAT = "What happens in the video?"

Call = tuple[str, dict[str, Any]]


def scripted(*calls: Call) -> MockFunctionCallingLLM:
    """A model that makes these calls in one turn, and then says what came back."""

    def reply(messages: Sequence[ChatMessage], **options: Any) -> ChatMessage:
        said = [message.content for message in messages if message.role == MessageRole.TOOL]
        if said:
            return ChatMessage(role="assistant", content="\n".join(map(str, said)))
        made = calls or (("video_qa", {"question": WHAT, "videos": [asked_about(messages)]}),)
        blocks = [
            ToolCallBlock(tool_call_id=str(number), tool_name=name, tool_kwargs=arguments)
            for number, (name, arguments) in enumerate(made)
        ]
        return ChatMessage(role="assistant", blocks=blocks)

    return MockFunctionCallingLLM(response_generator=reply)


def asked_about(messages: Sequence[ChatMessage]) -> str:
    return re.search(r"What happens in (.*)\?", str(messages[-1].content)).group(1)


def agent_that(toolbox: Toolbox, *calls: Call) -> FunctionAgent:
    return FunctionAgent(tools=VideoToolSpec(toolbox).to_tool_list(), llm=scripted(*calls))


async def run(agent: FunctionAgent | AgentWorkflow) -> tuple[AgentOutput, list[Any]]:
    handler = agent.run("Look.")
    events = [event async for event in handler.stream_events()]
    return await handler, events


def results(events: list[Any]) -> list[ToolCallResult]:
    return [event for event in events if isinstance(event, ToolCallResult)]


def red(bench: Bench) -> str:
    return bench.requests["two videos"]["videos"][0]


class Ran(Surface):
    """Through an agent, whose tools are awaited."""

    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        _, events = asyncio.run(run(agent_that(self.toolbox, ("video_qa", arguments))))
        (result,) = results(events)
        return outcome(result.tool_output)

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        async def main() -> None:
            handler = agent_that(self.toolbox, ("video_qa", arguments)).run("Look.")
            assert await asyncio.to_thread(begun.wait, 60)
            await handler.cancel_run()

        asyncio.run(main())
        return None


class Called(Surface):
    """Through the framework's own function that calls a tool, and waits for it."""

    def __init__(self, toolbox: Toolbox) -> None:
        (self.tool,) = VideoToolSpec(toolbox).to_tool_list(["video_qa"])

    def call(self, arguments: dict[str, Any]) -> Outcome:
        return outcome(call_tool(self.tool, arguments))


def outcome(output: Any) -> Outcome:
    result: ToolResult = output.raw_output
    assert output.is_error == (result.error is not None)
    return Outcome(output.content, result.content, result.error and result.error.code)


class TestRan(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Ran(bench.toolbox)


class TestCalled(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Called(bench.toolbox)


def test_models_are_shown_the_one_definition() -> None:
    tools = {tool.metadata.name: tool for tool in VideoToolSpec().to_tool_list()}
    assert list(tools) == list(TOOLS)
    for name, defined in TOOLS.items():
        shown = tools[name].metadata.to_openai_tool()["function"]
        assert shown["description"] == defined.description
        assert shown["parameters"]["required"] == [
            argument for argument, field in defined.arguments.model_fields.items() if field.is_required()
        ]
        for argument, declared in shown["parameters"]["properties"].items():
            assert declared["description"] == defined.arguments.model_fields[argument].description


def test_tools_can_be_chosen_and_described_otherwise() -> None:
    told = ToolMetadata(name="look", description="Look.", fn_schema=TOOLS["video_qa"].arguments)
    (tool,) = VideoToolSpec().to_tool_list(["video_qa"], {"video_qa": told})
    assert tool.metadata.name == "look"


def test_two_calls_of_one_turn_and_progress(bench: Bench) -> None:
    videos = bench.requests["two videos"]["videos"]
    agent = agent_that(bench.toolbox, *(("video_qa", {"question": WHAT, "videos": [video]}) for video in videos))
    output, events = asyncio.run(run(agent))
    assert RED in str(output)
    assert BLUE in str(output)
    assert {event.stage for event in events if isinstance(event, VideoProgressEvent)} >= {"decode", "generate"}


def test_a_workflow_of_agents(bench: Bench) -> None:
    agent = agent_that(bench.toolbox, ("video_qa", {"question": WHAT, "videos": [red(bench)]}))
    output, _ = asyncio.run(run(AgentWorkflow(agents=[agent])))
    assert RED in str(output)


def test_frames_are_shown_to_models_that_see(bench: Bench) -> None:
    agent = agent_that(bench.toolbox, ("video_frames", {"video": red(bench), "num_frames": 2}))
    _, events = asyncio.run(run(agent))
    text, *images = results(events)[0].tool_output.blocks
    assert isinstance(text, TextBlock)
    assert text.text.startswith("2 frames of the video")
    assert all(isinstance(image, ImageBlock) for image in images)
    assert len(images) == 2
    assert images[0].resolve_image().read().startswith(b"\xff\xd8\xff")


def test_a_context_with_frames_is_kept_as_json(bench: Bench) -> None:
    async def main() -> None:
        agent = agent_that(bench.toolbox, ("video_frames", {"video": red(bench), "num_frames": 2}))
        ctx = Context(agent)
        await agent.run("Look.", ctx=ctx)
        kept = JsonSerializer().serialize(ctx.to_dict())
        Context.from_dict(agent, JsonSerializer().deserialize(kept))

    asyncio.run(main())


def test_a_tool_with_one_argument_is_called_by_name(bench: Bench) -> None:
    (probe,) = VideoToolSpec(bench.toolbox).to_tool_list(["video_probe"])
    assert "128×96 pixels" in call_tool(probe, {"video": red(bench)}).content


def test_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {"llm": scripted()})
    assert "A red circle is first moving right, then growing." in capsys.readouterr().out
