"""The whole loop with LangChain's own client of OpenAI's API, and a server of that protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from chat_completions import ChatCompletions, chat_completions
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langchain_video_tool import VideoQATool, VideoToolkit

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def server() -> Iterator[ChatCompletions]:
    with chat_completions() as running:
        yield running


@pytest.fixture
def model(server: ChatCompletions) -> ChatOpenAI:
    return ChatOpenAI(model="scripted", base_url=server.url, api_key="none")


def test_an_agent_of_a_served_model(model: ChatOpenAI, server: ChatCompletions, tool: VideoQATool, circle: str) -> None:
    state = create_agent(model, [tool]).invoke({"messages": [("user", f"What colour is the shape in {circle}?")]})
    assert "It is red." in state["messages"][-1].text
    assert server.requests[-1]["messages"][-1]["tool_call_id"] == "call_1"


@pytest.mark.parametrize("strict", [False, True])
def test_a_chain_with_what_providers_take(
    model: ChatOpenAI, server: ChatCompletions, tool: VideoQATool, circle: str, strict: bool
) -> None:
    """With strict, the model gives null for what it leaves out."""
    asked = model.bind_tools([tool], strict=strict).invoke(f"What colour is the shape in {circle}?")
    (call,) = asked.tool_calls
    assert ("num_frames" in call["args"]) is strict
    assert "It is red." in tool.invoke(call).text
    (bound,) = server.requests[0]["tools"]
    assert '"default"' not in json.dumps(bound)
    assert bound["function"].get("strict", False) is strict


def test_frames_go_to_a_served_model_as_images(
    model: ChatOpenAI, server: ChatCompletions, kit: VideoToolkit, circle: str
) -> None:
    frames = kit.get_tools()[-1]
    create_agent(model, [frames]).invoke({"messages": [("user", f"What colour is the shape in {circle}?")]})
    text, *images = server.requests[-1]["messages"][-1]["content"]
    assert text["type"] == "text"
    assert len(images) == 8
    assert all(image["image_url"]["url"].startswith("data:image/jpeg;base64,") for image in images)
