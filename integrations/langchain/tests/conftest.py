"""Clips, tools that may read them, and a chat model that calls tools as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_video_tool import VideoQATool, VideoToolkit

from video_tool.builtin.clips import random_clip, render, write_video


class ScriptedChatModel(FakeMessagesListChatModel):
    """Says what is scripted until tools have answered, and then what they told.

    Attributes:
        bound: the tools that it was bound with, as OpenAI's API is sent them.
        read: the messages of tools that it was given.
    """

    bound: list[dict[str, Any]] = []
    read: list[ToolMessage] = []

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        self.bound.extend(convert_to_openai_tool(tool, strict=kwargs.get("strict")) for tool in tools)
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        told = [message for message in messages if isinstance(message, ToolMessage)]
        if not told:
            return super()._generate(messages, *args, **kwargs)
        self.read.extend(told)
        answer = AIMessage("\n".join(str(message.content) for message in told))
        return ChatResult(generations=[ChatGeneration(message=answer)])


def calling(*calls: tuple[str, dict[str, Any]]) -> ScriptedChatModel:
    """A chat model that makes these calls at once."""
    made = [
        {"type": "tool_call", "name": name, "args": arguments, "id": f"call_{number}"}
        for number, (name, arguments) in enumerate(calls, 1)
    ]
    return ScriptedChatModel(responses=[AIMessage("", tool_calls=made)], bound=[], read=[])


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `circle.mp4` and `square.mp4`."""
    folder = tmp_path_factory.mktemp("clips")
    for shape, colour, motion in (("circle", "red", "left"), ("square", "blue", "growing")):
        rng = np.random.default_rng(4)
        drawn = random_clip(rng, width=128, height=96, shape=shape, colour=colour, motions=(motion,))
        write_video(folder / f"{shape}.mp4", render(drawn, np.arange(30) / 30), fps=15)
    return folder


@pytest.fixture(scope="session")
def circle(clips: Path) -> str:
    return str(clips / "circle.mp4")


@pytest.fixture(scope="session")
def square(clips: Path) -> str:
    return str(clips / "square.mp4")


@pytest.fixture(scope="session")
def kit(clips: Path) -> VideoToolkit:
    """All tools, asking the built-in model; one for all tests, which then load it once."""
    return VideoToolkit(model="builtin", allowed_roots=(clips,))


@pytest.fixture
def tool(kit: VideoToolkit) -> VideoQATool:
    return VideoQATool(toolbox=kit.toolbox)
