"""The tools in LangGraph's and LangChain's own loops, with a scripted chat model and the built-in video model."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_video_tool import VideoQATool, VideoToolkit
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from scripted import calling

from video_tool import VideoAnswer
from video_tool.adapters import ToolError

SAID = {"messages": [("user", "What colours are they?")]}


def colour(video: str) -> tuple[str, dict[str, Any]]:
    return "video_qa", {"question": "What colour is it?", "videos": [video]}


def graph(tool: VideoQATool) -> Any:
    """A graph of a node that handles no errors itself."""
    built = StateGraph(MessagesState)
    built.add_node("tools", ToolNode([tool], handle_tool_errors=False))
    built.add_edge(START, "tools")
    return built.compile()


def check(told: list[ToolMessage], *, answers: tuple[str, ...]) -> None:
    assert [message.tool_call_id for message in told] == [f"call_{number}" for number in range(1, len(answers) + 1)]
    for message, answer in zip(told, answers, strict=True):
        assert answer in message.text
        assert isinstance(message.artifact, VideoAnswer)
        assert message.artifact.text == answer


async def test_a_tool_node_runs_parallel_calls(tool: VideoQATool, circle: str, square: str) -> None:
    asking = calling(colour(circle), colour(square), colour(circle)).responses
    node = graph(tool)
    expected = ("It is red.", "It is blue.", "It is red.")
    check(node.invoke({"messages": asking})["messages"][1:], answers=expected)
    check((await node.ainvoke({"messages": asking}))["messages"][1:], answers=expected)


async def test_a_tool_node_hands_errors_to_the_model_and_their_code_to_programs(tool: VideoQATool) -> None:
    asking = {"messages": calling(colour("/etc/passwd")).responses}
    for state in (graph(tool).invoke(asking), await graph(tool).ainvoke(asking)):
        message = state["messages"][-1]
        assert message.status == "error"
        assert "not allowed" in message.text
        assert message.artifact.code == "source_refused"


async def test_a_tool_node_lets_errors_in_programs_through() -> None:
    broken = graph(VideoQATool(model="builtin", options={"colour": "red"}))
    asking = {"messages": calling(colour("https://example.org/a.mp4")).responses}
    with pytest.raises(TypeError, match="no option 'colour'"):
        broken.invoke(asking)
    with pytest.raises(TypeError, match="no option 'colour'"):
        await broken.ainvoke(asking)


async def test_an_agent_calls_it_and_reads_the_answer(tool: VideoQATool, circle: str, square: str) -> None:
    expected = ("It is red.", "It is blue.")
    for invoke in ("invoke", "ainvoke"):
        model = calling(colour(circle), colour(square))
        agent = create_agent(model, [tool])
        state = agent.invoke(SAID) if invoke == "invoke" else await agent.ainvoke(SAID)
        check(model.read, answers=expected)
        assert all(answer in state["messages"][-1].text for answer in expected)
        assert [bound["function"]["name"] for bound in model.bound[:1]] == ["video_qa"]


async def test_an_agent_streams(tool: VideoQATool, circle: str) -> None:
    agent = create_agent(calling(colour(circle)), [tool])
    waited = list(agent.stream(SAID, stream_mode=["updates", "messages", "custom"]))
    awaited = [event async for event in agent.astream(SAID, stream_mode=["updates", "messages", "custom"])]
    for events in (waited, awaited):
        modes = [mode for mode, _ in events]
        (update,) = (told["tools"] for mode, told in events if mode == "updates" and "tools" in told)
        check(update["messages"], answers=("It is red.",))
        assert modes.index("custom") < events.index(("updates", {"tools": update}))
        assert any(isinstance(told[0], ToolMessage) for mode, told in events if mode == "messages")


def test_an_agent_that_sees_is_shown_frames(kit: VideoToolkit, circle: str) -> None:
    model = calling(("video_probe", {"video": circle}), ("video_frames", {"video": circle, "num_frames": 3}))
    create_agent(model, kit.get_tools()).invoke(SAID)
    probed, shown = model.read
    assert probed.text.startswith("2.00 s long")
    assert [block["type"] for block in shown.content_blocks] == ["text", "image", "image", "image"]


@pytest.mark.parametrize("refused", [False, True])
def test_what_programs_are_handed_outlives_a_checkpoint(tool: VideoQATool, circle: str, refused: bool) -> None:
    """LangGraph writes artifacts down as what they hold, without their type; that makes them what they were again."""
    agent = create_agent(calling(colour("/etc/passwd" if refused else circle)), [tool], checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    state = agent.invoke(SAID, thread)
    given, kept = (
        [message.artifact for message in messages if isinstance(message, ToolMessage)]
        for messages in (state["messages"], agent.get_state(thread).values["messages"])
    )
    kind = ToolError if refused else VideoAnswer
    assert [kind.model_validate(artifact) for artifact in kept] == given
    assert isinstance(given[0], kind)
