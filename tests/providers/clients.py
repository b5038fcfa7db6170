"""Each provider's own client in the loop that an agent's developer writes, sync and async."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anthropic import Anthropic, AsyncAnthropic
from google import genai
from openai import AsyncOpenAI, OpenAI

from video_tool.adapters import Provider

Json = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """What one provider's loop is made of.

    Attributes:
        ask: asks the model, by a client that was made for a server's address, with a history and tools.
        ask_async: the same.
        calls: what of an answer goes to `run_tool_calls`.
        turn: the answer, and what goes back, as the history has them.
        text: the answer's words.
    """

    provider: Provider
    ask: Callable[[str, list[Any], list[Json]], Any]
    ask_async: Callable[[str, list[Any], list[Json]], Any]
    calls: Callable[[Any], Any]
    turn: Callable[[Any, list[Json]], list[Any]]
    text: Callable[[Any], str | None]

    def user(self, text: str) -> Json:
        return {"role": "user", "parts": [{"text": text}]} if self.provider == "gemini" else _said(text)


def _said(text: str) -> Json:
    return {"role": "user", "content": text}


def _ask_chat(url: str, history: list[Any], tools: list[Json]) -> Any:
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        return client.chat.completions.create(model="scripted", messages=history, tools=tools)  # type: ignore[arg-type]


async def _ask_chat_async(url: str, history: list[Any], tools: list[Json]) -> Any:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        return await client.chat.completions.create(model="scripted", messages=history, tools=tools)  # type: ignore[arg-type]


def _ask_responses(url: str, history: list[Any], tools: list[Json]) -> Any:
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        return client.responses.create(model="scripted", input=history, tools=tools)  # type: ignore[arg-type]


async def _ask_responses_async(url: str, history: list[Any], tools: list[Json]) -> Any:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        return await client.responses.create(model="scripted", input=history, tools=tools)  # type: ignore[arg-type]


def _ask_anthropic(url: str, history: list[Any], tools: list[Json]) -> Any:
    with Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        return client.messages.create(model="scripted", max_tokens=64, messages=history, tools=tools)  # type: ignore[arg-type]


async def _ask_anthropic_async(url: str, history: list[Any], tools: list[Json]) -> Any:
    async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        return await client.messages.create(model="scripted", max_tokens=64, messages=history, tools=tools)  # type: ignore[arg-type]


def _ask_gemini(url: str, history: list[Any], tools: list[Json]) -> Any:
    with genai.Client(api_key="none", http_options={"base_url": url}) as client:  # type: ignore[arg-type]
        return client.models.generate_content(model="scripted", contents=history, config={"tools": tools})  # type: ignore[arg-type, typeddict-item]


async def _ask_gemini_async(url: str, history: list[Any], tools: list[Json]) -> Any:
    async with genai.Client(api_key="none", http_options={"base_url": url}).aio as client:  # type: ignore[arg-type]
        return await client.models.generate_content(model="scripted", contents=history, config={"tools": tools})  # type: ignore[arg-type, typeddict-item]


CLIENTS = (
    Client(
        "openai",
        _ask_chat,
        _ask_chat_async,
        calls=lambda answer: answer.choices[0].message.tool_calls,
        turn=lambda answer, results: [answer.choices[0].message, *results],
        text=lambda answer: answer.choices[0].message.content,
    ),
    Client(
        "openai-responses",
        _ask_responses,
        _ask_responses_async,
        calls=lambda answer: answer.output,
        turn=lambda answer, results: [*answer.output, *results],
        text=lambda answer: answer.output_text,
    ),
    Client(
        "anthropic",
        _ask_anthropic,
        _ask_anthropic_async,
        calls=lambda answer: answer.content,
        turn=lambda answer, results: [
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": results},
        ],
        text=lambda answer: "".join(block.text for block in answer.content if block.type == "text"),
    ),
    Client(
        "gemini",
        _ask_gemini,
        _ask_gemini_async,
        calls=lambda answer: answer.function_calls,
        turn=lambda answer, results: [answer.candidates[0].content, {"role": "user", "parts": results}],
        text=lambda answer: answer.text,
    ),
)
