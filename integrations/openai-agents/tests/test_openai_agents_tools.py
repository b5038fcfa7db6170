"""The tools in the SDK's own runner, with its scripted model and the built-in video model."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner, ToolCallOutputItem, set_tracing_disabled, tool_output_guardrail
from agents.result import RunResultBase
from agents.testing import ModelCall, ModelStep, ScriptedModel, assistant_message, function_call
from agents.tool_guardrails import ToolGuardrailFunctionOutput
from openai_agents_video_tool import video_tools

from video_tool.adapters import TOOLS, Toolbox
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task

README = Path(__file__).parents[1] / "README.md"
RED = "A red circle is moving right."
BLUE = "A blue square is moving up."
WHAT = "What happens in the video?"


@pytest.fixture(autouse=True)
def nothing_is_reported() -> None:
    set_tracing_disabled(True)  # traces go to a server


def say_what_came_back(call: ModelCall) -> list[Any]:
    said = [item["output"] for item in call.input if item.get("type") == "function_call_output"]
    return [assistant_message("\n".join(map(str, said)))]


def agent_that(toolbox: Toolbox, *calls: tuple[str, dict[str, Any]]) -> Agent[None]:
    """An agent whose model makes these calls in one turn, and then says what came back."""
    asked = [
        function_call(name, json.dumps(arguments), call_id=f"call_{i}") for i, (name, arguments) in enumerate(calls)
    ]
    model = ScriptedModel([asked, ModelStep.respond(say_what_came_back)])
    return Agent(name="Viewer", model=model, tools=video_tools(toolbox))


def outputs(result: RunResultBase) -> list[ToolCallOutputItem]:
    return [item for item in result.new_items if isinstance(item, ToolCallOutputItem)]


def red(bench: Bench) -> str:
    return bench.requests["two videos"]["videos"][0]


class Ran(Surface):
    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        (item,) = outputs(Runner.run_sync(agent_that(self.toolbox, ("video_qa", arguments)), "Look."))
        error = item.custom_data["error"]
        return Outcome(item.raw_item["output"], item.custom_data["content"], error and error["code"])

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        cancel_task(lambda: Runner.run(agent_that(self.toolbox, ("video_qa", arguments)), "Look."), begun)
        return None


class Streamed(Ran):
    """The same, streamed; cancelled by the SDK's own means."""

    def call(self, arguments: dict[str, Any]) -> Outcome:
        async def main() -> RunResultBase:
            result = Runner.run_streamed(agent_that(self.toolbox, ("video_qa", arguments)), "Look.")
            async for _ in result.stream_events():
                pass
            return result

        (item,) = outputs(asyncio.run(main()))
        error = item.custom_data["error"]
        return Outcome(item.raw_item["output"], item.custom_data["content"], error and error["code"])

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        async def main() -> None:
            result = Runner.run_streamed(agent_that(self.toolbox, ("video_qa", arguments)), "Look.")

            async def watch() -> None:
                async for _ in result.stream_events():
                    pass

            watching = asyncio.create_task(watch())
            assert await asyncio.to_thread(begun.wait, 60)
            result.cancel()
            await watching

        asyncio.run(main())
        return None


class TestRan(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Ran(bench.toolbox)


class TestStreamed(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Streamed(bench.toolbox)


def test_models_are_shown_the_one_definition_as_strict_schemas() -> None:
    tools = {tool.name: tool for tool in video_tools()}
    assert list(tools) == list(TOOLS)
    for name, defined in TOOLS.items():
        assert tools[name].strict_json_schema
        assert tools[name].description == defined.description
        schema = tools[name].params_json_schema
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"]) == list(defined.arguments.model_fields)
        for argument, declared in schema["properties"].items():
            assert declared["description"].startswith(defined.arguments.model_fields[argument].description.rstrip("."))
            assert "default" not in declared


def test_two_calls_of_one_turn(bench: Bench) -> None:
    videos = bench.requests["two videos"]["videos"]
    agent = agent_that(bench.toolbox, *(("video_qa", {"question": WHAT, "videos": [video]}) for video in videos))
    result = asyncio.run(Runner.run(agent, "Look."))
    assert RED in result.final_output
    assert BLUE in result.final_output


def test_null_is_what_is_taken_by_default(bench: Bench) -> None:
    nothing = dict.fromkeys(("start", "end", "num_frames", "max_new_tokens"))
    arguments = {"question": WHAT, "videos": [red(bench)], "images": [], **nothing}
    assert RED in Runner.run_sync(agent_that(bench.toolbox, ("video_qa", arguments)), "Look.").final_output


def test_frames_are_shown_to_models_that_see(bench: Bench) -> None:
    agent = agent_that(bench.toolbox, ("video_frames", {"video": red(bench), "num_frames": 2}))
    (item,) = outputs(Runner.run_sync(agent, "Look."))
    text, *images = item.raw_item["output"]
    assert text["type"] == "input_text"
    assert text["text"].startswith("2 frames of the video")
    assert [image["type"] for image in images] == ["input_image"] * 2
    for image in images:
        kind, _, data = image["image_url"].partition(",")
        assert kind == "data:image/jpeg;base64"
        assert b64decode(data).startswith(b"\xff\xd8\xff")
    assert len(item.custom_data["content"]["frames"]) == 2


def test_what_a_guardrail_takes_away_is_not_kept_beside_it(bench: Bench) -> None:
    @tool_output_guardrail
    def nothing_red(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.reject_content("It is a secret.")

    agent = agent_that(bench.toolbox, ("video_qa", {"question": WHAT, "videos": [red(bench)]}))
    agent.tools[0].tool_output_guardrails = [nothing_red]
    (item,) = outputs(Runner.run_sync(agent, "Look."))
    assert item.output == "It is a secret."
    assert not item.custom_data


def test_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    def look(call: ModelCall) -> list[Any]:
        video = re.search(r"What happens in (.*)\?", str(call.input[0]["content"])).group(1)
        return [function_call("video_qa", json.dumps({"question": WHAT, "videos": [video]}), call_id="call_0")]

    model = ScriptedModel([ModelStep.respond(look), ModelStep.respond(say_what_came_back)])
    exec(compile(code, "README.md", "exec"), {"model": model})
    assert "A red circle is first moving right, then growing." in capsys.readouterr().out
