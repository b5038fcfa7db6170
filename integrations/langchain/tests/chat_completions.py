"""A server of OpenAI's protocol on loopback, with a model that calls tools about the videos that it is told of."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatCompletions(ThreadingHTTPServer):
    """Calls the first tool about the path in what the user says, and then repeats what the tool told.

    Attributes:
        url: where its API begins.
        requests: the bodies of all requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
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
        question = last["content"].replace(video, "the video")
        arguments = {"question": question, "videos": [video], "video": video}
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

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing: what is asked for is the tests' own business."""


@contextmanager
def chat_completions() -> Generator[ChatCompletions]:
    """A running server."""
    with ChatCompletions() as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server
        finally:
            server.shutdown()
