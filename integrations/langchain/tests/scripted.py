"""A chat model that calls tools as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field


class ScriptedChatModel(FakeMessagesListChatModel):
    """Says what is scripted until tools have answered, and then what they told.

    Attributes:
        bound: the tools that it was bound with, as OpenAI's API is sent them.
        read: the messages of tools that it was given.
    """

    bound: list[dict[str, Any]] = Field(default_factory=list)
    read: list[ToolMessage] = Field(default_factory=list)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        self.bound.extend(convert_to_openai_tool(tool, strict=kwargs.get("strict")) for tool in tools)
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        told = [message for message in messages if isinstance(message, ToolMessage)]
        if not told:
            return super()._generate(messages, *args, **kwargs)
        self.read.extend(told)
        answer = AIMessage("\n".join(str(message.content) for message in told))
        return ChatResult(generations=[ChatGeneration(message=answer)])


def calling(*calls: tuple[str, dict[str, Any]]) -> ScriptedChatModel:
    """A chat model that makes these calls at once."""
    made = [
        {"type": "tool_call", "name": name, "args": arguments, "id": f"call_{number}"}
        for number, (name, arguments) in enumerate(calls, 1)
    ]
    return ScriptedChatModel(responses=[AIMessage("", tool_calls=made)])
