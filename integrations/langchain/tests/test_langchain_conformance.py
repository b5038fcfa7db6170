"""The conformance kit: called and awaited as a tool, and by an agent, video_qa gives what the toolbox gives."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_video_tool import VideoQATool
from scripted import calling

from video_tool import VideoAnswer
from video_tool.adapters import Toolbox
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Invoked(Surface):
    def __init__(self, toolbox: Toolbox) -> None:
        self.tool = VideoQATool(toolbox=toolbox)

    def call(self, arguments: dict[str, Any]) -> Outcome:
        return outcome(self.tool.invoke(tool_call(arguments)))


class Awaited(Invoked):
    async def acall(self, arguments: dict[str, Any]) -> ToolMessage:
        return await self.tool.ainvoke(tool_call(arguments))

    def call(self, arguments: dict[str, Any]) -> Outcome:
        return outcome(asyncio.run(self.acall(arguments)))

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        cancel_task(lambda: self.acall(arguments), begun)
        return None


class CalledByAnAgent(Awaited):
    def __init__(self, toolbox: Toolbox) -> None:
        super().__init__(toolbox)
        self.model = calling()
        self.agent: Any = create_agent(self.model, [self.tool])

    async def acall(self, arguments: dict[str, Any]) -> ToolMessage:
        self.model.responses = calling(("video_qa", arguments)).responses
        state = await self.agent.ainvoke({"messages": [("user", "Look.")]})
        (message,) = (message for message in state["messages"] if isinstance(message, ToolMessage))
        return message


def tool_call(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call", "name": "video_qa", "id": "call_1", "args": arguments}


def outcome(message: ToolMessage) -> Outcome:
    if message.status == "error":
        return Outcome(message.text, None, message.artifact.code)
    assert isinstance(message.artifact, VideoAnswer)
    return Outcome(message.text, message.artifact, None)


class TestInvoked(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Invoked(bench.toolbox)


class TestAwaited(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Awaited(bench.toolbox)


class TestCalledByAnAgent(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return CalledByAnAgent(bench.toolbox)
