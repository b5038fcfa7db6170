"""Lets a LangChain agent look at a video: python examples/langchain_agent.py [VIDEO] [QUESTION] [CHAT_MODEL].

CHAT_MODEL is what LangChain's `init_chat_model` takes, such as openai:gpt-5-mini. Without one, a stand-in that needs no
key asks the tool what it was asked, and repeats what the tool told it. It takes `pip install langchain` and
`pip install integrations/langchain`.
"""

import sys
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.chat_models import BaseChatModel, init_chat_model
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_video_tool import VideoQATool

from video_tool.builtin import DEMO_VIDEO


class StandIn(BaseChatModel):
    """Calls `video_qa` once."""

    question: str
    video: str

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:  # noqa: ARG002 — as LangChain calls it
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        if isinstance(messages[-1], ToolMessage):
            said = AIMessage(messages[-1].content)
        else:
            arguments = {"question": self.question, "videos": [self.video]}
            said = AIMessage("", tool_calls=[{"name": "video_qa", "args": arguments, "id": "call_1"}])
        return ChatResult(generations=[ChatGeneration(message=said)])


def main(
    video: str = str(DEMO_VIDEO), question: str = "What happens in the video?", chat_model: str | None = None
) -> None:
    model = init_chat_model(chat_model) if chat_model else StandIn(question=question, video=video)
    tool = VideoQATool(model="builtin", allowed_roots=(Path(video).parent,))
    agent: Any = create_agent(model, [tool])
    said = {"messages": [("user", f"{question} The video is {video}")]}
    for mode, news in agent.stream(said, stream_mode=["custom", "updates"]):
        if mode == "custom":
            print(f"  {news['stage']}: {news['done']} {news['unit']}", file=sys.stderr)
            continue
        for message in [message for step in news.values() for message in step["messages"]]:
            if isinstance(message, ToolMessage) and message.status == "success":
                print(f"  {len(message.artifact.frames)} frames, {message.artifact.timings.total:.2f} s")
            elif isinstance(message, AIMessage):
                print(*(f"  {call['name']}: {call['args']['question']}" for call in message.tool_calls), message.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
