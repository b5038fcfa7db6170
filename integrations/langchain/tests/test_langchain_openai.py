"""The whole loop with LangChain's own client of OpenAI's API, and a server of that protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from chat_completions import chat_completions
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langchain_video_tool import VideoQATool, VideoToolkit

from tests.providers.scripted import ScriptedServer

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with chat_completions() as running:
        yield running


@pytest.fixture
def model(server: ScriptedServer) -> ChatOpenAI:
    return ChatOpenAI(model="scripted", base_url=f"{server.url}/v1", api_key="none")


def test_an_agent_of_a_served_model(model: ChatOpenAI, server: ScriptedServer, tool: VideoQATool, circle: str) -> None:
    state = create_agent(model, [tool]).invoke({"messages": [("user", f"What colour is the shape in {circle}?")]})
    assert "It is red." in state["messages"][-1].text
    assert server.requests[-1][1]["messages"][-1]["role"] == "tool"


@pytest.mark.parametrize("strict", [False, True])
def test_a_chain_with_what_providers_take(
    model: ChatOpenAI, server: ScriptedServer, tool: VideoQATool, circle: str, strict: bool
) -> None:
    """With strict, the model gives null for what it leaves out."""
    asked = model.bind_tools([tool], strict=strict).invoke(f"What colour is the shape in {circle}?")
    (call,) = asked.tool_calls
    assert ("num_frames" in call["args"]) is strict
    assert "It is red." in tool.invoke(call).text
    (bound,) = server.requests[0][1]["tools"]
    assert '"default"' not in json.dumps(bound)
    assert bound["function"].get("strict", False) is strict


def test_frames_go_to_a_served_model_as_images(server: ScriptedServer, kit: VideoToolkit, circle: str) -> None:
    """By the Responses API: by Chat Completions, OpenAI refuses images in what tools say."""
    model = ChatOpenAI(model="scripted", base_url=f"{server.url}/v1", api_key="none", use_responses_api=True)
    frames = kit.get_tools()[-1]
    create_agent(model, [frames]).invoke({"messages": [("user", f"What colour is the shape in {circle}?")]})
    assert [image.size for image in server.seen[-1].images] == [(128, 96)] * 8
