"""What a call is doing right now, for LangChain's callbacks and LangGraph's streams.

It goes out as a custom event (`astream_events`, `on_custom_event` of handlers) and, in a graph, with the stream mode
`custom`, too.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
    adispatch_custom_event,
    dispatch_custom_event,
)

from video_tool import Progress

PROGRESS_EVENT = "video_tool_progress"
"""The name of the custom event, and the `type` of what it holds."""


def teller(run_manager: CallbackManagerForToolRun, call: dict[str, Any]) -> Callable[[Progress], None]:
    """Tells news from the thread that calls it.

    Args:
        run_manager: of the call.
        call: what each piece of news says of the call that it is about.
    """
    write = _stream_writer()

    def tell(news: Progress) -> None:
        event = _event(news, call)
        dispatch_custom_event(PROGRESS_EVENT, event, config={"callbacks": run_manager.get_child()})
        write(event)

    return tell


@asynccontextmanager
async def telling(
    run_manager: AsyncCallbackManagerForToolRun, call: dict[str, Any]
) -> AsyncGenerator[Callable[[Progress], None]]:
    """Tells news on the event loop, whichever thread they come from; all are told when the block is left.

    Handlers belong to the loop: what they hold on to does not work on others.
    """
    write = _stream_writer()
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Progress | None] = asyncio.Queue()

    def pass_on(news: Progress) -> None:
        with suppress(RuntimeError):  # the loop has ended before work that was cancelled
            loop.call_soon_threadsafe(waiting.put_nowait, news)

    async def tell() -> None:
        while (news := await waiting.get()) is not None:
            event = _event(news, call)
            await adispatch_custom_event(PROGRESS_EVENT, event, config={"callbacks": run_manager.get_child()})
            write(event)

    task = asyncio.create_task(tell())
    try:
        yield pass_on
        waiting.put_nowait(None)
        await task
    finally:
        task.cancel()


def _event(news: Progress, call: dict[str, Any]) -> dict[str, Any]:
    return {"type": PROGRESS_EVENT, **call, **asdict(news)}


def _stream_writer() -> Callable[[Any], None]:
    """LangGraph's, where this runs in a graph; whoever runs one has imported it."""
    langgraph = sys.modules.get("langgraph.config")
    if langgraph is not None:
        with suppress(RuntimeError, KeyError):  # it runs outside of graphs
            return langgraph.get_stream_writer()
    return lambda _event: None
