"""OpenAI's Chat Completions, as the scripted model speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionFunctionToolParam,
    ChatCompletionToolMessageParam,
)
from pydantic import TypeAdapter

from tests.providers.rules import check_json_schema, check_name, check_openai_strict, check_type, read_data_url
from tests.providers.scripted import OfferedTool, Result, Said, Seen, ToolCall, check

_TOOL = TypeAdapter(ChatCompletionFunctionToolParam)
_RESULT = TypeAdapter(ChatCompletionToolMessageParam)


def takes(path: str) -> bool:
    return path.endswith("/chat/completions")


def streams(path: str, body: dict[str, Any]) -> bool:
    return bool(body.get("stream"))


def read(body: dict[str, Any]) -> Seen:
    messages = body["messages"]
    _check_results(messages)
    spoken = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    last = spoken[-1] if spoken else -1
    names = {call["id"]: call["function"]["name"] for call in _calls(messages[last])} if spoken else {}
    since = messages[last + 1 :]
    parts = [part for message in since if isinstance(message["content"], list) for part in message["content"]]
    return Seen(
        tools=dict(map(_tool, body.get("tools", ()))),
        turns=len(spoken),
        words="".join(_text(each) for each in since if each["role"] == "user"),
        results=[Result(names[each["tool_call_id"]], _text(each)) for each in since if each["role"] == "tool"],
        images=[read_data_url(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"],
    )


def _tool(given: dict[str, Any]) -> tuple[str, OfferedTool]:
    check_type(_TOOL, given, whole=True)
    function = given["function"]
    check_name(function["name"])
    schema, strict = function.get("parameters", {"type": "object", "properties": {}}), bool(function.get("strict"))
    check_json_schema(schema)
    if strict:
        check_openai_strict(schema)
    return function["name"], OfferedTool(schema, strict)


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls") or []


def _check_results(messages: list[dict[str, Any]]) -> None:
    """Every call has its result, right behind the message that made it, with nothing in between."""
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            check_type(_RESULT, message)
            check(
                message["tool_call_id"] in open_calls, f"{message['tool_call_id']} is no call, or was answered already"
            )
            open_calls.remove(message["tool_call_id"])
            continue
        check(not open_calls, f"these tool_call_ids did not have response messages: {', '.join(open_calls)}")
        if message["role"] == "assistant":
            open_calls = [call["id"] for call in _calls(message)]
    check(not open_calls, f"these tool_call_ids did not have response messages: {', '.join(open_calls)}")


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content if part["type"] == "text")


def whole(said: Said, turn: int, body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said if isinstance(said, str) else None}
    if not isinstance(said, str):
        message["tool_calls"] = [_call(call, f"call_{turn}_{number}") for number, call in enumerate(said)]
    choice = {"index": 0, "message": message, "finish_reason": "stop" if isinstance(said, str) else "tool_calls"}
    completion = {
        "id": f"chatcmpl-{turn}",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    ChatCompletion.model_validate(completion)
    return completion


def _call(call: ToolCall, id_: str) -> dict[str, Any]:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
    return {"id": id_, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def pieces(whole: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    head = {**{key: whole[key] for key in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    (choice,) = whole["choices"]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message["content"]:
        half = len(message["content"]) // 2
        deltas += [{"content": message["content"][:half]}, {"content": message["content"][half:]}]
    for number, call in enumerate(_calls(message)):
        arguments = call["function"]["arguments"]
        begun = {**call, "index": number, "function": {**call["function"], "arguments": ""}}
        rest = [{"index": number, "function": {"arguments": part}} for part in (arguments[:9], arguments[9:])]
        deltas += [{"tool_calls": [each]} for each in (begun, *rest)]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    chunks.append({"choices": [], "usage": whole["usage"]})
    for chunk in chunks:
        ChatCompletionChunk.model_validate(head | chunk)
        yield None, head | chunk


def refusal(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
