"""Servers that are silent, and questions to them that nobody waits for any more: the connection closes at once."""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from tests.serving import Failure, ModelServer
from tests.stopping import SECONDS, once, stop_when, threads_called
from video_tool import CancelScope, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import CancelledError, DeadlineError

QUESTION = "What does the circle do?"
ASKED: dict[str, Any] = {"videos": [DEMO_VIDEO], "num_frames": 6}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "small"}


class Silent:
    """A server that takes a request, sends some of an answer, and then nothing, until the client leaves.

    Args:
        says: what it sends.
    """

    def __init__(self, says: bytes) -> None:
        self._says = says
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.asked, self.left = threading.Event(), threading.Event()
        self.connections = 0

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with client:
                whole = b""
                while b"\r\n\r\n" not in whole:
                    whole += client.recv(1 << 16)
                head, _, body = whole.partition(b"\r\n\r\n")
                (length,) = (
                    int(line.split()[1]) for line in head.splitlines() if line.lower().startswith(b"content-l")
                )
                while len(body) < length:
                    body += client.recv(1 << 20)
                client.sendall(self._says)
                self.asked.set()
                try:
                    while client.recv(1 << 16):
                        pass
                except ConnectionError:
                    pass
            self.left.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def silent(*pieces: str) -> Iterator[Silent]:
    """One that has sent nothing, or so many pieces of an answer."""
    events = [json.dumps(CHUNK | {"choices": [{"index": 0, "delta": {"content": piece}}]}) for piece in pieces]
    server = Silent(b"".join([HEAD, *(f"data: {event}\n\n".encode() for event in events)]) if pieces else b"")
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def remote(base_url: str, **options: Any) -> VideoQA:
    return VideoQA("openai:small", base_url=base_url, **options)


@pytest.mark.parametrize("pieces", [(), ("A red",)])
def test_a_silent_server_is_left(pieces: tuple[str, ...]) -> None:
    with silent(*pieces) as server:
        qa = remote(server.base_url)
        stop_when(once(server.asked), lambda: qa.ask(QUESTION, **ASKED))
        assert server.left.wait(SECONDS)
        assert server.connections == 1  # it is not asked again


def test_a_deadline_is_no_timeout_of_the_server() -> None:
    with silent() as server, CancelScope(0.5), pytest.raises(DeadlineError, match=r"0\.5 seconds"):
        remote(server.base_url).ask(QUESTION, **ASKED, max_seconds=50)


def test_leaving_a_stream_does_not_wait_for_the_next_piece() -> None:
    with silent("A red") as server:
        pieces = remote(server.base_url).stream(QUESTION, **ASKED)
        assert next(pieces) == "A red"
        pieces.close()
        assert server.left.wait(SECONDS)
        assert threads_called("generation") == []


def test_the_list_of_models_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: SimpleQueue[socket.socket] = SimpleQueue()
        threading.Thread(target=lambda: accepted.put(listener.accept()[0])).start()
        model = of(remote(f"http://127.0.0.1:{listener.getsockname()[1]}/v1"))
        connections: list[socket.socket] = []
        stop_when(lambda: connections.append(accepted.get(timeout=SECONDS)), model.models)
        (connection,) = connections
        with connection:
            while connection.recv(1 << 16):
                pass


def test_the_pause_before_another_try_is_cut_short(server: ModelServer) -> None:
    asked = threading.Event()
    server.before_answer = asked.set
    server.failures.extend([Failure(503, {"message": "not now"}, (("Retry-After", "50"),))] * 2)
    qa = remote(server.base_url)
    stop_when(once(asked), lambda: qa.ask(QUESTION, **ASKED))
    assert len(server.requests) == 1
    server.failures.clear()
    assert qa.ask(QUESTION, **ASKED).text


def test_a_lookup_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def system(*_: Any, **__: Any) -> Any:
        asked.set()
        answer.wait(SECONDS)
        raise socket.gaierror(socket.EAI_AGAIN, "the name server says nothing")

    monkeypatch.setattr(socket, "getaddrinfo", system)
    qa = remote("http://model.example.com/v1")
    stop_when(once(asked), lambda: qa.ask(QUESTION, **ASKED))
    answer.set()


def test_the_next_question_has_its_answer(server: ModelServer) -> None:
    qa = remote(server.base_url)
    before = qa.ask(QUESTION, **ASKED).text
    with CancelScope() as scope:
        server.before_piece = scope.cancel
        with pytest.raises(CancelledError):
            qa.ask(QUESTION, **ASKED)
    server.before_piece = lambda: None
    assert qa.ask(QUESTION, **ASKED).text == before


def test_the_thread_goes_with_the_model(server: ModelServer) -> None:
    others = threads_called("requests")
    qa = remote(server.base_url)
    qa.ask(QUESTION, **ASKED)
    (thread,) = (each for each in threads_called("requests") if each not in others)
    qa.unload()
    assert not thread.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_can_ask_as_well(server: ModelServer) -> None:
    qa = remote(server.base_url)
    text = qa.ask(QUESTION, **ASKED).text
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(qa.ask(QUESTION, **ASKED).text))
    child.start()
    child.join(SECONDS)
    assert child.exitcode == 0
    assert answers.get() == text
    assert qa.ask(QUESTION, **ASKED).text == text


def of(qa: VideoQA) -> Any:
    qa.load()
    return qa._held.model
