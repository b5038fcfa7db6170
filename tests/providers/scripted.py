"""A server on the loopback interface with a scripted model behind it, for agents of any framework.

It speaks OpenAI's Chat Completions and Responses, Anthropic's Messages and Gemini's generateContent, whole and
streamed, whichever path is asked. What the model says is a script, one turn for each time that it is asked:

    turns = [[ToolCall("video_qa", {"question": "What happens?", "videos": [url]})], lambda seen: seen.results[-1].text]
    with serve_script(turns) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="none")  # Anthropic, genai.Client: server.url alone

Requests are held to the rules of the protocol. What the provider would refuse, the offered tools and their results
first, is refused with status 400 and what is wrong, which fails the client's request; so is a script that calls what
the offered schemas don't allow.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import jsonschema
from PIL.Image import Image


class MalformedError(Exception):
    """What the provider would not take."""


@dataclass(frozen=True)
class ToolCall:
    """A call that the model makes.

    Attributes:
        name: the tool's.
        arguments: an object; a text is handed out as it is, where the protocol has arguments as text.
    """

    name: str
    arguments: dict[str, Any] | str


@dataclass(frozen=True)
class OfferedTool:
    """A tool that a request offers: the JSON schema of its arguments, and whether the model is held to it."""

    schema: dict[str, Any]
    strict: bool


@dataclass(frozen=True)
class Result:
    """What came back for a call; `failed` is None where the protocol doesn't tell."""

    name: str
    text: str
    failed: bool | None = None


@dataclass(frozen=True)
class Seen:
    """What a request shows the model, in words for all protocols.

    Attributes:
        tools: what it may call.
        turns: how often it has spoken before.
        words: the user's, since its last turn.
        results: of the calls of its last turn, in the order of the results.
        images: shown since its last turn, by the user or by tools.
    """

    tools: dict[str, OfferedTool]
    turns: int
    words: str = ""
    results: list[Result] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)


Said = str | Sequence[ToolCall]
Turn = Said | Callable[[Seen], Said]


class Speaker(Protocol):
    """One provider's protocol, as a module."""

    def takes(self, path: str) -> bool: ...

    def streams(self, path: str, body: dict[str, Any]) -> bool: ...

    def read(self, body: dict[str, Any]) -> Seen: ...

    def whole(self, said: Said, turn: int, body: dict[str, Any]) -> dict[str, Any]: ...

    def pieces(self, whole: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """The events of a stream, each with its name if it has one."""
        ...

    def refusal(self, message: str) -> dict[str, Any]: ...


@dataclass
class ScriptedServer:
    """A running server.

    Attributes:
        url: its root.
        turns: what the model says, the first time, the second time, … in each conversation.
        requests: the path and body of all requests, as they came.
        seen: what each showed the model.
    """

    url: str
    turns: Sequence[Turn]
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def serve_script(turns: Sequence[Turn]) -> Iterator[ScriptedServer]:
    """Serves a script for the length of a with-block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    served = ScriptedServer(f"http://127.0.0.1:{server.server_port}", turns)
    server.served = served  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        from tests.providers import anthropic_messages, gemini, openai_chat, openai_responses

        served: ScriptedServer = self.server.served  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        served.requests.append((self.path, body))
        speakers: tuple[Speaker, ...] = (openai_chat, openai_responses, anthropic_messages, gemini)
        speaker = next((speaker for speaker in speakers if speaker.takes(self.path)), None)
        if speaker is None:
            self._send(404, {"error": {"message": f"there is no {self.path}"}})
            return
        try:
            seen = speaker.read(body)
            served.seen.append(seen)
            whole = speaker.whole(_next(served.turns, seen), seen.turns, body)
        except MalformedError as error:
            self._send(400, speaker.refusal(str(error)))
            return
        if speaker.streams(self.path, body):
            self._stream(speaker.pieces(whole))
        else:
            self._send(200, whole)

    def _send(self, status: int, content: dict[str, Any]) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def _stream(self, pieces: Iterator[tuple[str | None, dict[str, Any]]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for name, content in pieces:
            head = f"event: {name}\n" if name else ""
            self.wfile.write(f"{head}data: {json.dumps(content)}\n\n".encode())
        if self.path.endswith("/chat/completions"):
            self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def _next(turns: Sequence[Turn], seen: Seen) -> Said:
    if seen.turns >= len(turns):
        raise MalformedError(f"the script has {len(turns)} turns, and this asks for one more")
    turn = turns[seen.turns]
    said = turn(seen) if callable(turn) else turn
    return said if isinstance(said, str) else [_fitting(call, seen.tools) for call in said]


def _fitting(call: ToolCall, tools: dict[str, OfferedTool]) -> ToolCall:
    """The call as a model makes it that is held to the tool's schema: with null for what it has nothing to say of."""
    if call.name not in tools:
        raise MalformedError(f"the script calls {call.name}; offered are {', '.join(tools) or 'no tools'}")
    tool = tools[call.name]
    if not tool.strict:
        return call
    given = json.loads(call.arguments) if isinstance(call.arguments, str) else call.arguments
    arguments = dict.fromkeys(tool.schema["required"]) | given
    try:
        jsonschema.validate(arguments, tool.schema)
    except jsonschema.ValidationError as error:
        raise MalformedError(f"the script's call of {call.name} does not fit: {error.message}") from error
    return ToolCall(call.name, arguments)


def check(well: bool, otherwise: str) -> None:
    """Refuses the request unless it is well."""
    if not well:
        raise MalformedError(otherwise)
