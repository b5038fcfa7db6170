"""What goes wrong at a server, as servers say it, comes as one of our errors."""

from __future__ import annotations

import json
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.serve import Site, serve
from tests.serving import Failure, ModelServer, serve_model
from video_tool import FrameSequence, Progress, VideoAnswer, VideoQA
from video_tool.errors import (
    ContextLengthError,
    ModelNotFoundError,
    QuestionError,
    RateLimitError,
    ServerError,
    ServerRefusedError,
    ServerTimeoutError,
    VideoToolError,
)

CLIP = FrameSequence(np.zeros((2, 48, 64, 3), np.uint8), fps=1)


def ask(
    base_url: str,
    model: str = "small",
    question: str = "What is it?",
    max_seconds: float | None = None,
    max_retries: int = 0,
    **arguments: Any,
) -> VideoAnswer:
    qa = VideoQA(f"openai:{model}", base_url=base_url, max_retries=max_retries, **arguments)
    return qa.ask(question, videos=[CLIP], num_frames=2, max_seconds=max_seconds)


SAID: list[tuple[Failure, type[VideoToolError], bool, float | None]] = [
    (Failure(401, {"message": "Incorrect API key"}), ServerRefusedError, False, None),
    (Failure(403, {"message": "Not your model"}), ServerRefusedError, False, None),
    (Failure(429, {"message": "Slow down"}, (("Retry-After", "7"),)), RateLimitError, True, 7.0),
    (Failure(429, {"message": "Slow down"}), RateLimitError, True, 60.0),
    (Failure(429, {"message": "Pay first", "code": "insufficient_quota"}), RateLimitError, False, None),
    (Failure(500, {"message": "CUDA error"}), ServerError, True, None),
    (Failure(503, {"message": "Loading model"}, (("Retry-After", "3"),)), ServerError, True, 3.0),
    (Failure(504, {"message": "gateway"}), ServerTimeoutError, True, None),
    (Failure(502, body=b"<html>Bad Gateway</html>"), ServerError, True, None),
    (Failure(400, {"message": "At most 1 image(s) may be provided in one prompt."}), ServerError, False, None),
    (Failure(413, body=b"Payload Too Large"), ServerError, False, None),
    (
        Failure(400, {"message": "temperature must be 1", "param": "temperature", "code": "unsupported_value"}),
        QuestionError,
        False,
        None,
    ),
    (
        Failure(400, {"message": "This model's maximum context length is 32768 tokens. However, you requested 40000."}),
        ContextLengthError,
        False,
        None,
    ),
    (
        Failure(400, {"message": "The decoder prompt (length 9000) is longer than the maximum model length of 8192."}),
        ContextLengthError,
        False,
        None,
    ),
    (
        Failure(400, {"message": "The input (40000 tokens) is longer than the model's context length (32768 tokens)."}),
        ContextLengthError,
        False,
        None,
    ),
    (Failure(400, {"message": "too much", "code": "context_length_exceeded"}), ContextLengthError, False, None),
    (Failure(500, {"message": "too much", "type": "exceed_context_size_error"}), ContextLengthError, False, None),
]


@pytest.mark.parametrize(("failure", "kind", "retryable", "retry_after"), SAID)
def test_each_answer_has_its_error(
    server: ModelServer, failure: Failure, kind: type[VideoToolError], retryable: bool, retry_after: float | None
) -> None:
    server.failures.append(failure)
    with pytest.raises(VideoToolError) as caught:
        ask(server.base_url)
    error = caught.value
    assert type(error) is kind
    assert (error.retryable, error.retry_after) == (retryable, retry_after)
    assert error.hint
    said = failure.error.get("message", "")
    assert said in str(error)
    assert "\n" not in str(error)
    assert error.__cause__ is not None


def test_a_model_that_the_server_does_not_have(server: ModelServer) -> None:
    with pytest.raises(ModelNotFoundError, match="`large` does not exist") as caught:
        ask(server.base_url, "large")
    assert "large" in caught.value.hint


def test_an_address_that_is_not_the_api(server: ModelServer) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        ask(server.base_url.removesuffix("/v1"))
    assert "/v1" in caught.value.hint


def test_a_prompt_too_long_for_the_model(server: ModelServer) -> None:
    with pytest.raises(ContextLengthError) as caught:
        ask(server.base_url, question="What is it? " * 300)
    assert caught.value.max_frames is None


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens
        with pytest.raises(ServerError, match="can't be reached") as caught:
            ask(f"http://127.0.0.1:{bound.getsockname()[1]}/v1")
    assert caught.value.retryable


def test_a_server_that_stays_silent(site: Site) -> None:
    site.put("/v1/chat/completions", stall_before=True)
    with pytest.raises(ServerTimeoutError) as caught:
        ask(f"{site.url}/v1", timeout=0.2)
    assert caught.value.retryable
    with pytest.raises(ServerTimeoutError):  # an answer without a word is none
        ask(f"{site.url}/v1", max_seconds=0.2)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


def event(**chunk: Any) -> bytes:
    whole = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "small", **chunk}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


def said(words: str, reason: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": words}, "finish_reason": reason}])


@contextmanager
def failing(kind: type[VideoToolError], words: str, *, retryable: bool) -> Iterator[None]:
    with pytest.raises(kind, match=words) as caught:
        yield
    assert caught.value.retryable is retryable


def test_answers_that_break_off(site: Site) -> None:
    def put(body: bytes, **options: Any) -> None:
        site.put("/v1/chat/completions", body, content_type="text/event-stream", **options)

    url = f"{site.url}/v1"
    put(said("It is") + said(" red.", "stop") + b"data: [DONE]\n\n")
    assert ask(url).text == "It is red."
    put(said("It is"))
    with failing(ServerError, "ended the answer before", retryable=True):
        ask(url)
    put(said("It is"), announced=10_000)  # the connection goes before all bytes are there
    with failing(ServerError, "broke off", retryable=True):
        ask(url)
    put(said("It is") + said(" red."), stall_after=len(said("It is")))
    with failing(ServerTimeoutError, "in time", retryable=True):
        ask(url, timeout=0.3)
    put(said("It is") + event(error={"message": "the engine died", "code": 500}))
    with failing(ServerError, "the engine died", retryable=True):
        ask(url)
    put(said("It is") + event(error={"message": "maximum context length is 8 tokens", "code": 400}))
    with failing(ContextLengthError, "8 tokens", retryable=False):
        ask(url)
    put(said("It is") + b"data: {half\n\n")
    with failing(ServerError, "no JSON", retryable=False):
        ask(url)
    put(said("It is", "content_filter"))
    with failing(ServerError, "filter", retryable=False):
        ask(url)
    put(said("It is", "abort"))
    with failing(ServerError, "aborted", retryable=True):
        ask(url)
    put(said("It is", "eos_token"))
    assert ask(url).text == "It is"
    put(b"<html>a page</html>")
    with failing(ServerError, "ended the answer before", retryable=True):
        ask(url)


def test_a_request_is_sent_again_before_anything_was_said(server: ModelServer) -> None:
    for status in (500, 429):
        server.failures.append(Failure(status, {"message": "later"}, (("Retry-After-Ms", "1"),)))
    ask(server.base_url, max_retries=2)
    assert len(server.requests) == 3
    server.failures.append(Failure(500, {"message": "later"}))
    with pytest.raises(ServerError):
        ask(server.base_url, max_retries=2, max_seconds=30.0)  # a second try would take the time again
    assert len(server.requests) == 4


def test_the_key_is_in_no_error(server: ModelServer) -> None:
    server.api_key = "right"
    key = "-".join(("sk", "wrong", "key"))  # the lines of this test are in the traceback, too
    with pytest.raises(ServerRefusedError) as caught:
        ask(server.base_url, api_key=key)  # this server repeats what it was given
    assert "the key Bearer … is not known" in str(caught.value)
    assert key not in "".join(traceback.format_exception(caught.value))


def test_secrets_of_the_address_are_in_no_error_and_no_answer(builtin_qa: VideoQA) -> None:
    with serve_model(builtin_qa) as server:
        secret = server.base_url.replace("//", "//user:hunter2@")
        server.failures.append(Failure(500, {"message": f"see {secret}"}))
        with pytest.raises(ServerError) as caught:
            ask(secret)
        assert "hunter2" not in str(caught.value)
        assert ask(secret).model.device == server.base_url


def test_what_a_listener_raises_is_its_own(server: ModelServer) -> None:
    def fail(news: Progress) -> None:
        if news.stage == "generate":
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        ask(server.base_url, on_progress=fail)
