"""The tools in smolagents' own agents, with a scripted model and the built-in video model."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from smolagents import ActionStep, CodeAgent, FinalAnswerStep, LogLevel, Model, ToolCallingAgent, ToolOutput
from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole
from smolagents_video_tool import VideoCallError, VideoFramesTool, VideoProbeTool, VideoQATool, VideoText

from video_tool.adapters import TOOLS, Toolbox
from video_tool.adapters.replies import mark
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests

README = Path(__file__).parents[1] / "README.md"
RED = "A red circle is moving right."
BLUE = "A blue square is moving up."
WHAT = "What happens in the video?"

Reply = str | list[tuple[str, dict[str, Any]]]
"""Code, or calls of tools."""


class Scripted(Model):
    """Gives replies in order, and remembers what it was shown."""

    def __init__(self, *replies: Reply | Callable[[list[ChatMessage]], Reply]) -> None:
        super().__init__(model_id="scripted")
        self.replies = list(replies)
        self.shown: list[list[ChatMessage]] = []

    def generate(self, messages: list[ChatMessage], **options: Any) -> ChatMessage:
        self.shown.append(messages)
        reply = self.replies.pop(0)
        if callable(reply):
            reply = reply(messages)
        if isinstance(reply, str):
            return ChatMessage(MessageRole.ASSISTANT, content=f"<code>\n{reply}\n</code>")
        calls = [
            ChatMessageToolCall(ChatMessageToolCallFunction(name=name, arguments=arguments), str(number), "function")
            for number, (name, arguments) in enumerate(reply)
        ]
        return ChatMessage(MessageRole.ASSISTANT, content="", tool_calls=calls)


def calling(tools: list[Any], *replies: Any, **options: Any) -> ToolCallingAgent:
    end = [("final_answer", {"answer": "done"})]
    return ToolCallingAgent(tools, Scripted(*replies, end), verbosity_level=LogLevel.OFF, **options)


def coding(tools: list[Any], *code: str, **options: Any) -> CodeAgent:
    return CodeAgent(tools, Scripted(*code), verbosity_level=LogLevel.OFF, **options)


def first_step(agent: ToolCallingAgent | CodeAgent) -> ActionStep:
    return next(step for step in agent.memory.steps if isinstance(step, ActionStep))


def red(bench: Bench) -> str:
    return bench.requests["two videos"]["videos"][0]


class Called(Surface):
    """Through an agent that calls tools, in the thread of its caller."""

    def __init__(self, toolbox: Toolbox) -> None:
        self.tool = VideoQATool(toolbox)

    def call(self, arguments: dict[str, Any]) -> Outcome:
        agent = calling([self.tool], [("video_qa", arguments)])
        outputs = [event for event in agent.run("Look.", stream=True) if isinstance(event, ToolOutput)]
        error = first_step(agent).error
        if error is not None:
            return Outcome(error.message, None, error.__cause__.result.error.code)
        return Outcome(outputs[0].observation, outputs[0].output.to_raw().result.content, None)


class Coded(Called):
    """Through an agent that writes code, which runs in a thread of its own."""

    def call(self, arguments: dict[str, Any]) -> Outcome:
        agent = coding([self.tool], f"final_answer(video_qa(**{arguments!r}))", "final_answer('done')")
        end = [event for event in agent.run("Look.", stream=True) if isinstance(event, FinalAnswerStep)]
        error = first_step(agent).error
        if error is not None:
            return Outcome(error.message, None, code_of(error))
        return Outcome(str(end[0].output), end[0].output.to_raw().result.content, None)

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        agent = coding([self.tool], f"video_qa(**{arguments!r})", "final_answer('done')")
        running = threading.Thread(target=agent.run, args=("Look.",))
        running.start()
        assert begun.wait(60)
        self.tool.interrupt()
        running.join()
        return code_of(first_step(agent).error)


def code_of(error: BaseException | None) -> str:
    while error is not None and not isinstance(error, VideoCallError):
        error = error.__cause__ or error.__context__
    assert error is not None
    return error.result.error.code


class TestCalled(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Called(bench.toolbox)


class TestCoded(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Coded(bench.toolbox)


@pytest.mark.parametrize("kind", [VideoQATool, VideoProbeTool, VideoFramesTool])
def test_models_are_shown_the_one_definition(kind: type) -> None:
    tool = kind()
    defined = TOOLS[tool.name]
    assert tool.description == defined.description
    assert {name: shown["description"] for name, shown in tool.inputs.items()} == {
        name: field.description for name, field in defined.arguments.model_fields.items()
    }
    required = {name for name, field in defined.arguments.model_fields.items() if field.is_required()}
    assert {name for name, shown in tool.inputs.items() if "nullable" not in shown} == required


def test_types_of_arguments() -> None:
    inputs = VideoQATool().inputs
    assert (inputs["videos"]["type"], inputs["videos"]["items"]) == ("array", {"type": "string"})
    assert inputs["start"]["type"] == "number"
    assert inputs["num_frames"]["type"] == "integer"
    assert VideoFramesTool().inputs["timestamps"]["items"] == {"type": "number"}


def test_two_calls_of_one_turn(bench: Bench) -> None:
    one, other = bench.requests["two videos"]["videos"]
    calls = [("video_qa", {"question": WHAT, "videos": [video]}) for video in (one, other)]
    agent = calling([VideoQATool(bench.toolbox)], calls)
    assert agent.run("Look.") == "done"
    seen = first_step(agent).observations
    assert RED in seen
    assert BLUE in seen


def test_code_works_with_what_comes_back(bench: Bench) -> None:
    code = f"answer = video_qa({WHAT!r}, [{red(bench)!r}])\nfinal_answer('red' in answer)"
    assert coding([VideoQATool(bench.toolbox)], code).run("Look.") is True


def test_code_that_gives_too_much_is_told_what_there_is(bench: Bench) -> None:
    agent = coding([VideoProbeTool(bench.toolbox)], "video_probe('a.mp4', 2)", "final_answer('done')")
    agent.run("Look.")
    assert "video_probe takes video, and no more" in first_step(agent).error.message


def test_frames_are_shown_to_models_that_see(bench: Bench) -> None:
    frames = VideoFramesTool(bench.toolbox)
    calls = [("video_frames", {"video": red(bench), "num_frames": 2})]
    agent = calling([frames], calls, step_callbacks=[frames.show])
    agent.run("Look.")
    images = [
        part["image"] for message in agent.model.shown[-1] for part in message.content or [] if part["type"] == "image"
    ]
    assert [image.size for image in images] == [(128, 96)] * 2
    assert "2 frames of the video" in first_step(agent).observations


def test_probing(bench: Bench) -> None:
    agent = calling([VideoProbeTool(bench.toolbox)], [("video_probe", {"video": red(bench)})])
    agent.run("Look.")
    assert "128×96 pixels" in first_step(agent).observations


def test_an_event_loop_runs_agents_in_threads(bench: Bench) -> None:
    code = f"final_answer(video_qa({WHAT!r}, [{red(bench)!r}]))"

    async def main() -> list[Any]:
        agents = [coding([VideoQATool(bench.toolbox)], code) for _ in range(2)]
        return await asyncio.gather(*(asyncio.to_thread(agent.run, "Look.") for agent in agents))

    answers = [answer.to_raw() for answer in asyncio.run(main())]
    assert all(isinstance(answer, VideoText) and mark(RED) in answer for answer in answers)


def test_setup_loads_the_model(bench: Bench) -> None:
    toolbox = Toolbox(settings=bench.settings)
    VideoQATool(toolbox).setup()
    assert toolbox.call("video_qa", {"question": WHAT, "videos": [red(bench)]}).content.timings.load == 0


def test_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    def look(messages: list[ChatMessage]) -> Reply:
        video = re.search(r"What happens in (\S+\.mp4)\?", str(messages[-1].content)).group(1)
        return [("video_qa", {"question": WHAT, "videos": [video]})]

    def say(messages: list[ChatMessage]) -> Reply:
        return [("final_answer", {"answer": str(messages[-1].content[0]["text"])})]

    exec(compile(code, "README.md", "exec"), {"model": Scripted(look, say)})
    assert "A red circle is first moving right, then growing." in capsys.readouterr().out
