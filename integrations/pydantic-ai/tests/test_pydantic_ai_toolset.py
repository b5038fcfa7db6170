"""The toolset in Pydantic AI's own agents, with a scripted model and the built-in video model."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, BinaryContent, RunContext
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai_video_tool import VideoProgressEvent, VideoToolset

from video_tool.adapters import TOOLS, Toolbox
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task

README = Path(__file__).parents[1] / "README.md"
RED = "A red circle is moving right."
BLUE = "A blue square is moving up."
WHAT = "What happens in the video?"

Call = tuple[str, dict[str, Any]]


def returned(messages: list[ModelMessage]) -> list[ToolReturnPart]:
    return [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]


def scripted(*calls: Call) -> FunctionModel:
    """A model that makes these calls in one turn, and then says what came back."""

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        said = returned(messages)
        if not said:
            return ModelResponse([ToolCallPart(*call) for call in calls])
        return ModelResponse([TextPart("\n".join(part.model_response_str() for part in said))])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        for number, part in enumerate(reply(messages, info).parts):
            if isinstance(part, ToolCallPart):
                yield {number: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id)}
            else:
                yield part.content

    return FunctionModel(reply, stream_function=stream)


def agent_that(toolbox: Toolbox, *calls: Call) -> Agent[None, str]:
    return Agent(scripted(*calls), toolsets=[VideoToolset(toolbox)])


def red(bench: Bench) -> str:
    return bench.requests["two videos"]["videos"][0]


class Ran(Surface):
    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox = toolbox

    def agent(self, arguments: dict[str, Any]) -> Agent[None, str]:
        return agent_that(self.toolbox, ("video_qa", arguments))

    def call(self, arguments: dict[str, Any]) -> Outcome:
        (part,) = returned(self.agent(arguments).run_sync("Look.").all_messages())
        error = part.metadata.error
        return Outcome(part.content, part.metadata.content, error and error.code)

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        cancel_task(lambda: self.agent(arguments).run("Look."), begun)
        return None


class TestRan(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Ran(bench.toolbox)


def test_models_are_shown_the_one_definition() -> None:
    shown = {}

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        shown.update({tool.name: tool for tool in info.function_tools})
        return ModelResponse([TextPart("done")])

    Agent(FunctionModel(reply), toolsets=[VideoToolset()]).run_sync("Look.")
    assert list(shown) == list(TOOLS)
    for name, defined in TOOLS.items():
        assert shown[name].description == defined.description
        fields = defined.arguments.model_fields
        properties = shown[name].parameters_json_schema["properties"]
        assert {argument: declared["description"] for argument, declared in properties.items()} == {
            argument: field.description for argument, field in fields.items()
        }
        assert shown[name].parameters_json_schema["required"] == [
            argument for argument, field in fields.items() if field.is_required()
        ]


def test_two_calls_of_one_turn_and_progress(bench: Bench) -> None:
    told: list[VideoProgressEvent] = []

    async def listen(ctx: RunContext[None], events: AsyncIterable[Any]) -> None:
        told.extend([event async for event in events if isinstance(event, VideoProgressEvent)])

    videos = bench.requests["two videos"]["videos"]
    agent = agent_that(bench.toolbox, *(("video_qa", {"question": WHAT, "videos": [video]}) for video in videos))
    result = asyncio.run(agent.run("Look.", event_stream_handler=listen))
    assert RED in result.output
    assert BLUE in result.output
    assert {event.stage for event in told} >= {"decode", "generate"}
    assert len({event.tool_call_id for event in told}) == 2
    assert {event.tool_name for event in told} == {"video_qa"}


def test_what_goes_wrong_costs_no_retry(bench: Bench) -> None:
    refused: list[Call] = [("video_qa", bench.requests["a refused path"]), ("video_qa", {"qestion": WHAT})]
    result = agent_that(bench.toolbox, *refused).run_sync("Look.")
    one, other = returned(result.all_messages())
    assert one.metadata.error.code == "source_refused"
    assert other.metadata.error.code == "question"
    assert "did you mean question?" in other.content


def test_frames_are_shown_to_models_that_see(bench: Bench) -> None:
    agent = agent_that(bench.toolbox, ("video_frames", {"video": red(bench), "num_frames": 2}))
    result = agent.run_sync("Look.")
    (part,) = returned(result.all_messages())
    text, *images = part.content
    assert text.startswith("2 frames of the video")
    assert all(isinstance(image, BinaryContent) and image.is_image for image in images)
    assert len(images) == 2
    assert len(part.metadata.content.frames) == 2


def test_histories_with_frames_are_kept_as_json(bench: Bench) -> None:
    agent = agent_that(bench.toolbox, ("video_frames", {"video": red(bench), "num_frames": 2}))
    result = agent.run_sync("Look.")
    again = ModelMessagesTypeAdapter.validate_json(result.all_messages_json())
    assert returned(again)[0].metadata["content"]["frames"][0]["timestamp"] == 0


def test_tools_can_be_chosen(bench: Bench) -> None:
    probe = VideoToolset(bench.toolbox).filtered(lambda ctx, tool: tool.name == "video_probe")
    result = Agent(scripted(("video_probe", {"video": red(bench)})), toolsets=[probe]).run_sync("Look.")
    assert "128×96 pixels" in result.output


def test_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        said = returned(messages)
        if said:
            return ModelResponse([TextPart(said[0].model_response_str())])
        video = re.search(r"What happens in (.*)\?", messages[0].parts[-1].content).group(1)
        return ModelResponse([ToolCallPart("video_qa", {"question": WHAT, "videos": [video]})])

    exec(compile(code, "README.md", "exec"), {"model": FunctionModel(reply)})
    assert "A red circle is first moving right, then growing." in capsys.readouterr().out
