"""What a call is doing, told to callbacks on the way, and to the streams of graphs."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langchain_video_tool import PROGRESS_EVENT, VideoQATool
from scripted import calling


def asked(circle: str) -> dict[str, Any]:
    return {"question": "What colour is it?", "videos": [circle]}


def check(events: list[dict[str, Any]], tool_call_id: str | None) -> None:
    """All are there and in order: decoding, then each token."""
    assert {event["type"] for event in events} == {PROGRESS_EVENT}
    assert {(event["tool"], event["tool_call_id"]) for event in events} == {("video_qa", tool_call_id)}
    decoding = [event for event in events if event["stage"] == "decode"]
    generating = [event for event in events if event["stage"] == "generate"]
    assert (decoding[-1]["subject"], decoding[-1]["done"], decoding[-1]["unit"]) == ("circle.mp4", 8, "frames")
    assert [event["done"] for event in generating] == list(range(1, len(generating) + 1))
    assert len(generating) > 1
    assert events.index(decoding[-1]) < events.index(generating[0])


class Heard(BaseCallbackHandler):
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.runs: set[UUID] = set()
        self.started: UUID | None = None

    def on_tool_start(self, *_args: Any, run_id: UUID, **_kwargs: Any) -> None:
        self.started = run_id

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_kwargs: Any) -> None:
        assert name == PROGRESS_EVENT
        self.events.append(data)
        self.runs.add(run_id)


class HeardOnALoop(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def on_custom_event(self, _name: str, data: Any, **_kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.loops.add(asyncio.get_running_loop())
        self.events.append(data)


def test_handlers_hear_of_it_as_part_of_the_call(tool: VideoQATool, circle: str) -> None:
    heard = Heard()
    call = {"type": "tool_call", "name": "video_qa", "id": "call_7", "args": asked(circle)}
    tool.invoke(call, {"callbacks": [heard]})
    check(heard.events, "call_7")
    assert heard.runs == {heard.started}


async def test_handlers_hear_of_it_on_their_own_loop_and_before_the_answer(tool: VideoQATool, circle: str) -> None:
    heard = HeardOnALoop()
    await tool.ainvoke(asked(circle), {"callbacks": [heard]})
    check(heard.events, None)
    assert heard.loops == {asyncio.get_running_loop()}


async def test_streams_of_events_hold_it(tool: VideoQATool, circle: str) -> None:
    chain = RunnableLambda(asked) | tool
    events = [event async for event in chain.astream_events(circle, version="v2")]
    told = [event for event in events if event["event"] == "on_custom_event"]
    check([event["data"] for event in told], None)
    (ended,) = (event for event in events if event["event"] == "on_tool_end")
    assert {event["run_id"] for event in told} == {ended["run_id"]}
    assert events.index(told[-1]) < events.index(ended)


def test_graphs_stream_it(tool: VideoQATool, circle: str) -> None:
    agent = create_agent(calling(("video_qa", asked(circle))), [tool])
    said = {"messages": [("user", "What colour is it?")]}
    check(list(agent.stream(said, stream_mode="custom")), "call_1")


async def test_graphs_stream_it_to_tasks(tool: VideoQATool, circle: str) -> None:
    agent = create_agent(calling(("video_qa", asked(circle))), [tool])
    said = {"messages": [("user", "What colour is it?")]}
    check([event async for event in agent.astream(said, stream_mode="custom")], "call_1")
