"""The protocol over standard input and output.

The SDK's own transport reads and writes in threads that nothing can wake: such a server does not end by a signal while
its client is silent, or does not listen. Here, nobody waits for the two threads that do so.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from queue import SimpleQueue
from typing import Any, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import DEFAULT_MAX_REQUEST_BODY_SIZE
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from video_tool.errors import VideoToolError

_CHUNK = 1 << 16  # bytes read at once
_MOST_BYTES = DEFAULT_MAX_REQUEST_BODY_SIZE
"""Of one message: as many as over HTTP."""

_Incoming: TypeAlias = MemoryObjectSendStream[SessionMessage | Exception]
_Outgoing: TypeAlias = MemoryObjectSendStream[SessionMessage]


async def serve_stdio(server: Server[Any]) -> None:
    """Serves the one client at the other end of standard input and output, until it hangs up.

    Both are the protocol's alone meanwhile: what else is printed goes to standard error, and who reads standard input
    finds it empty.

    Raises:
        VideoToolError: they are closed.
    """
    with _set_aside() as (source, sink):
        incoming, requests = anyio.create_memory_object_stream[SessionMessage | Exception]()
        replies, outgoing = anyio.create_memory_object_stream[SessionMessage]()
        async with anyio.create_task_group() as group:
            _start_reader(source, incoming, replies.clone())
            group.start_soon(_write, sink, outgoing, group.cancel_scope.cancel)
            await server.run(requests, replies, server.create_initialization_options())


@contextmanager
def _set_aside() -> Generator[tuple[int, int]]:
    """Descriptors of what were standard input and output, in whose place others stand for the length of the block."""
    if sys.stdin is None or sys.stdout is None:  # as Python has it when they are closed
        raise VideoToolError(
            "standard input or output is closed", hint="Have an MCP client start this, or serve with --http"
        )
    sys.stdout.flush()
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # no standard error either
        os.dup2(nothing, 1)
    os.close(nothing)
    try:
        yield source, sink
    finally:
        sys.stdout.flush()
        # The two are never closed: a thread may still wait for them, and their numbers must not mean something else.
        os.dup2(source, 0)
        os.dup2(sink, 1)


def _start_reader(source: int, incoming: _Incoming, replies: _Outgoing) -> None:
    loop = asyncio.get_running_loop()

    def hand_over(message: SessionMessage) -> None:
        to = replies if isinstance(message.message, types.JSONRPCError) and message.message.id is None else incoming
        asyncio.run_coroutine_threadsafe(to.send(message), loop).result()

    def read() -> None:
        # whatever ends the loop meanwhile (it closes streams, cancels what is sent, is closed itself) ends this
        with suppress(Exception):
            for line in _lines(source):
                hand_over(_message(line))
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(incoming.close)
            loop.call_soon_threadsafe(replies.close)

    threading.Thread(target=read, name="mcp-stdin", daemon=True).start()


def _lines(source: int) -> Iterator[bytes | None]:
    """The lines that come, without empty ones; None for one that is too long, of which no more is kept."""
    line, too_long = bytearray(), False
    while chunk := os.read(source, _CHUNK):
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            line += part
            if too_long or len(line) > _MOST_BYTES:
                yield None
            elif line.strip():
                yield bytes(line)
            line, too_long = bytearray(), False
        line += rest
        if len(line) > _MOST_BYTES:
            line, too_long = bytearray(), True


def _message(line: bytes | None) -> SessionMessage:
    """What the client sent; or, as an error without an id, what it is told of what is no message."""
    if line is None:
        return _refusal(types.INVALID_REQUEST, f"Message too large: more than {_MOST_BYTES} bytes")
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValidationError as error:
        if any(problem["type"] == "json_invalid" for problem in error.errors(include_input=False)):
            return _refusal(types.PARSE_ERROR, "Parse error")
        return _refusal(types.INVALID_REQUEST, "Invalid request")


def _refusal(code: int, message: str) -> SessionMessage:
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=None, error=types.ErrorData(code=code, message=message)))


async def _write(
    sink: int, outgoing: MemoryObjectReceiveStream[SessionMessage], client_left: Callable[[], None]
) -> None:
    async with _writer(sink) as write, outgoing:
        async for message in outgoing:
            line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await write(line.encode() + b"\n")
            except OSError:
                client_left()
                return


@asynccontextmanager
async def _writer(sink: int) -> AsyncGenerator[Callable[[bytes], asyncio.Future[None]]]:
    """Writes whole lines, in a thread of its own; cancelling who waits for a line does not wait for the thread."""
    loop = asyncio.get_running_loop()
    lines: SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = SimpleQueue()

    def settle(written: asyncio.Future[None], error: OSError | None) -> None:
        if not written.done():
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

    def run() -> None:
        while (given := lines.get()) is not None:
            line, written = given
            error = None
            try:
                _write_all(sink, line)
            except OSError as failed:
                error = failed
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, written, error)

    def write(line: bytes) -> asyncio.Future[None]:
        written = loop.create_future()
        lines.put((line, written))
        return written

    threading.Thread(target=run, name="mcp-stdout", daemon=True).start()
    try:
        yield write
    finally:
        lines.put(None)


def _write_all(sink: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(sink, rest) :]
