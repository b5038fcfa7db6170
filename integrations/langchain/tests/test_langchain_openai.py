"""The whole loop with LangChain's own client of OpenAI's API, and a server of that protocol on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langchain_video_tool import VideoQATool, VideoToolkit

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class ChatCompletions(ThreadingHTTPServer):
    """Calls the first tool about the path in what the user says, and then repeats what the tool told.

    Attributes:
        requests: the bodies of all requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.requests: list[dict[str, Any]] = []

    def message(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        last = request["messages"][-1]
        if last["role"] == "tool":
            told = last["content"]
            return {"content": told if isinstance(told, str) else told[0]["text"]}
        (video,) = re.findall(r"/\S+\.mp4", last["content"])
        function = request["tools"][0]["function"]
        takes = function["parameters"]["properties"]
        arguments = {"question": "What colour is it?", "videos": [video], "video": video}
        asked = {name: arguments.get(name) for name in takes if name in arguments or function.get("strict")}
        call = {"name": function["name"], "arguments": json.dumps(asked)}
        return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}


class _Answering(BaseHTTPRequestHandler):
    server: ChatCompletions

    def do_POST(self) -> None:
        message = self.server.message(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
        body = json.dumps(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "scripted", "choices": [choice]}
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ChatCompletions]:
    with ChatCompletions() as running:
        threading.Thread(target=running.serve_forever).start()
        yield running
        running.shutdown()


@pytest.fixture
def model(server: ChatCompletions) -> ChatOpenAI:
    return ChatOpenAI(model="scripted", base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none")


def test_an_agent_of_a_served_model(model: ChatOpenAI, server: ChatCompletions, tool: VideoQATool, circle: str) -> None:
    state = create_agent(model, [tool]).invoke({"messages": [("user", f"What is in {circle} ?")]})
    assert "It is red." in state["messages"][-1].text
    assert server.requests[-1]["messages"][-1]["tool_call_id"] == "call_1"


@pytest.mark.parametrize("strict", [False, True])
def test_a_chain_with_what_providers_take(
    model: ChatOpenAI, server: ChatCompletions, tool: VideoQATool, circle: str, strict: bool
) -> None:
    """With strict, the model gives null for what it leaves out."""
    asked = model.bind_tools([tool], strict=strict).invoke(f"What is in {circle} ?")
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
    create_agent(model, [frames]).invoke({"messages": [("user", f"What is in {circle} ?")]})
    text, *images = server.requests[-1]["messages"][-1]["content"]
    assert text["type"] == "text"
    assert len(images) == 8
    assert all(image["image_url"]["url"].startswith("data:image/jpeg;base64,") for image in images)
