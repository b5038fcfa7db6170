"""A server that runs a model behind OpenAI's protocol, on the loopback interface: chat completions, whole and streamed.

What the model sees is made from the request alone. Frames come back out of their JPEGs. Which images are frames of
which video, the words before each tell ("Video 1 at 0.50 s:"), as they do to a large model. The built-in one knows no
such words, so that the server reads them in its place and takes them out of the text.
"""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from video_tool import FrameSequence, GenerationOptions, Sampling, Settings, VideoAnswer, VideoQA
from video_tool.errors import ContextLengthError, VideoToolError
from video_tool.frames import Frames, Media, read_video
from video_tool.prompt import Message
from video_tool.turn import Beginning, Turn

FRAME = re.compile(r"Video (\d+) at (\d+\.\d\d) s:")
VIDEO = re.compile(r"Video \d+, its frames at ([\d., ]+) s:")


@dataclass(frozen=True)
class Failure:
    """What the server answers instead of asking the model.

    Attributes:
        status: of HTTP.
        error: what stands under `error` in the body.
        headers: further headers.
        body: the whole body instead.
    """

    status: int
    error: dict[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass
class ModelServer:
    """A running server.

    Attributes:
        base_url: where its API begins.
        name: what it calls the model.
        qa: the model.
        api_key: the key that it wants; None wants none.
        requests: the bodies of all requests for an answer, as they came.
        keys: the Authorization of each.
        failures: what is answered next, one request after another, before the model is asked again.
        before_answer: called when a request has been read.
        before_piece: called before each piece of a stream is sent.
        keeps_logprobs: whether it takes no notice of requests for log-probabilities, as some servers do.
        left: set when a client had gone before its answer was whole.
    """

    base_url: str
    name: str
    qa: VideoQA
    api_key: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    failures: deque[Failure] = field(default_factory=deque)
    before_answer: Callable[[], object] = lambda: None
    before_piece: Callable[[], object] = lambda: None
    keeps_logprobs: bool = False
    left: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve_model(qa: VideoQA, name: str = "small", api_key: str | None = None) -> Iterator[ModelServer]:
    """Serves a model for the length of a with-block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    served = ModelServer(f"http://127.0.0.1:{server.server_port}/v1", name, qa, api_key)
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
    @property
    def served(self) -> ModelServer:
        return self.server.served  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        if self._allowed() and self.path == "/v1/models":
            self._json({"object": "list", "data": [{"id": self.served.name, "object": "model", "created": 0}]})
        elif self._allowed():
            self._fail(Failure(404, {"message": f"there is no {self.path}"}))
        else:
            self._fail(Failure(401, {"message": "a key is needed"}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        served = self.served
        served.requests.append(body)
        served.keys.append(self.headers["Authorization"])
        served.before_answer()
        if served.failures:
            self._fail(served.failures.popleft())
        elif not self._allowed():
            self._fail(Failure(401, {"message": f"the key {self.headers['Authorization']} is not known"}))
        elif self.path != "/v1/chat/completions":
            self._fail(Failure(404, {"message": f"there is no {self.path}"}))
        elif body["model"] != served.name:
            message = f"The model `{body['model']}` does not exist."
            self._fail(Failure(404, {"message": message, "type": "NotFoundError", "code": 404}))
        else:
            self._answer(body)

    def _allowed(self) -> bool:
        return self.served.api_key is None or self.headers["Authorization"] == f"Bearer {self.served.api_key}"

    def _answer(self, body: dict[str, Any]) -> None:
        try:
            if body.get("stream"):
                self._stream(body)
            else:
                answer = _ask(self.served.qa, body, None)
                message = {"role": "assistant", "content": answer.text}
                choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
                self._json({"choices": [choice], "usage": _usage(answer)})
        except ConnectionError:
            self.served.left.set()
        except ContextLengthError as error:
            self._fail(Failure(400, {"message": str(error), "code": "context_length_exceeded"}))
        except VideoToolError as error:
            self._fail(Failure(400, {"message": str(error)}))

    def _stream(self, body: dict[str, Any]) -> None:
        begun = threading.Event()

        def send(piece: str) -> None:
            if not begun.is_set():
                begun.set()
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self._event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
            self.served.before_piece()
            self._event({"choices": [{"index": 0, "delta": {"content": piece}}]})

        answer = _ask(self.served.qa, body, send)
        told = [] if self.served.keeps_logprobs else [token.model_dump(mode="json") for token in answer.logprobs]
        last = {"index": 0, "delta": {}, "finish_reason": answer.finish_reason}
        self._event({"choices": [last | ({"logprobs": {"content": told}} if told else {})]})
        if body.get("stream_options", {}).get("include_usage"):
            self._event({"choices": [], "usage": _usage(answer)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(_completion("chat.completion.chunk", self.served) | chunk).encode())
        self.wfile.write(b"\n\n")

    def _json(self, content: dict[str, Any]) -> None:
        self._send(200, json.dumps(_completion("chat.completion", self.served) | content).encode(), ())

    def _fail(self, failure: Failure) -> None:
        body = json.dumps({"error": failure.error}).encode() if failure.body is None else failure.body
        self._send(failure.status, body, failure.headers)

    def _send(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def _completion(kind: str, served: ModelServer) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 0, "model": served.name}


def _ask(qa: VideoQA, body: dict[str, Any], on_text: Callable[[str], None] | None) -> VideoAnswer:
    messages = tuple(
        Message(row["role"], tuple(_content(row["content"], body.get("media_io_kwargs", {}).get("video", {}))))
        for row in body["messages"]
    )
    most = body.get("max_completion_tokens", body.get("max_tokens", 100))
    names = ("temperature", "top_p", "top_k", "seed", "repetition_penalty")
    given = {name: body[name] for name in names if body.get(name) is not None}
    if "response_format" in body:
        given["response_format"] = body["response_format"]["json_schema"]["schema"]
    if body.get("logprobs"):
        given |= {"logprobs": True, "top_logprobs": body.get("top_logprobs")}
    options = GenerationOptions(max_new_tokens=most, stop=tuple(body.get("stop") or ()), **given)
    beginning = Beginning(messages[:-1], Media())
    return qa.reply(Turn(beginning, (), messages[-1], options, time.perf_counter()), on_text)


def _content(content: str | list[dict[str, Any]], metadata: dict[str, Any]) -> Iterator[str | Frames | Image.Image]:
    """The parts of a message as the model takes them, frames gathered into videos."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    frames: list[Image.Image] = []
    times: list[float] = []
    label: re.Match[str] | None = None
    number = None
    for part in parts:
        if frames and (part["type"] != "text" or not FRAME.fullmatch(part["text"])) and not label:
            yield _video(frames, times)  # what follows is no frame of it
            frames, times = [], []
        if part["type"] == "text":
            label = FRAME.fullmatch(part["text"]) or VIDEO.fullmatch(part["text"])
            if label is None:
                yield part["text"]
            elif label.re is FRAME and frames and label[1] != number:
                yield _video(frames, times)
                frames, times = [], []
        elif part["type"] == "image_url" and label:
            number = label[1]
            times.append(float(label[2]))
            frames.append(_image(part["image_url"]["url"].removeprefix("data:image/jpeg;base64,")))
            label = None
        elif part["type"] == "image_url":
            yield _image(part["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
        else:
            jpegs = part["video_url"]["url"].removeprefix("data:video/jpeg;base64,").split(",")
            if label:
                seconds = [float(each) for each in label[1].split(", ")]
            else:
                seconds = [index / metadata["fps"] for index in metadata["frames_indices"]]
            yield _video([_image(jpeg) for jpeg in jpegs], seconds)
            label = None
    if frames:
        yield _video(frames, times)


def _image(jpeg: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(jpeg, validate=True))).convert("RGB")


def _video(frames: list[Image.Image], times: list[float]) -> Frames:
    assert len(frames) == len(times)
    # times are told to hundredths of a second, within which frames of a fast video can lie
    rising = all(a < b for a, b in pairwise(times))
    timing: dict[str, Any] = {"timestamps": times} if rising else {"fps": 1}
    given = FrameSequence(np.stack([np.asarray(frame) for frame in frames]), **timing)
    return read_video(given, Sampling(num_frames=len(frames)), Settings(max_frames=len(frames)))


def _usage(answer: VideoAnswer) -> dict[str, Any]:
    assert answer.usage.visual_tokens is not None
    assert answer.usage.text_tokens is not None
    prompt = answer.usage.visual_tokens + answer.usage.text_tokens
    return {"prompt_tokens": prompt, "completion_tokens": answer.usage.new_tokens}
