"""Anthropic's Messages, as the scripted model speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent, ToolParam, ToolResultBlockParam
from pydantic import TypeAdapter

from tests.providers.rules import check_anthropic_strict, check_json_schema, check_name, check_type, read_image
from tests.providers.scripted import OfferedTool, Result, Said, Seen, check

_TOOL = TypeAdapter(ToolParam)
_RESULT = TypeAdapter(ToolResultBlockParam)
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def takes(path: str) -> bool:
    return path.partition("?")[0].endswith("/v1/messages")


def streams(path: str, body: dict[str, Any]) -> bool:
    return bool(body.get("stream"))


def read(body: dict[str, Any]) -> Seen:
    check(isinstance(body.get("max_tokens"), int), "max_tokens: Field required")
    messages = body["messages"]
    asked: dict[str, str] = {}
    for message in messages:
        results = [block["tool_use_id"] for block in _blocks(message, "tool_result")]
        check(sorted(results) == sorted(asked), "`tool_use` ids need `tool_result` blocks immediately after")
        kinds = [block["type"] for block in _blocks(message)]
        check("tool_result" not in kinds[len(results) :], "`tool_result` blocks come first in a message")
        last_asked, asked = asked, {block["id"]: block["name"] for block in _blocks(message, "tool_use")}
    check(not asked, "`tool_use` ids were found without `tool_result` blocks")
    results = _blocks(messages[-1], "tool_result")
    for block in results:
        check_type(_RESULT, block, whole=True)
    strict = [tool["input_schema"] for tool in body.get("tools", ()) if tool.get("strict")]
    check_anthropic_strict(strict)
    shown = [*_blocks(messages[-1]), *(part for block in results for part in _parts(block))]
    return Seen(
        tools=dict(map(_tool, body.get("tools", ()))),
        turns=sum(message["role"] == "assistant" for message in messages),
        words="".join(block["text"] for block in _blocks(messages[-1], "text")),
        results=[
            Result(last_asked[block["tool_use_id"]], _text(block), bool(block.get("is_error"))) for block in results
        ],
        images=[
            read_image(part["source"]["data"], part["source"]["media_type"])
            for part in shown
            if part["type"] == "image"
        ],
    )


def _blocks(message: dict[str, Any], kind: str | None = None) -> list[dict[str, Any]]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [block for block in blocks if kind is None or block["type"] == kind]


def _parts(block: dict[str, Any]) -> list[dict[str, Any]]:
    content = block.get("content", [])
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(block: dict[str, Any]) -> str:
    return "".join(part["text"] for part in _parts(block) if part["type"] == "text")


def _tool(given: dict[str, Any]) -> tuple[str, OfferedTool]:
    check_type(_TOOL, given, whole=True)
    check_name(given["name"])
    check_json_schema(given["input_schema"])
    return given["name"], OfferedTool(given["input_schema"], bool(given.get("strict")))


def whole(said: Said, turn: int, body: dict[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if isinstance(said, str):
        content = [{"type": "text", "text": said}]
    else:
        for number, call in enumerate(said):
            check(not isinstance(call.arguments, str), "arguments are objects in this protocol")
            content.append(
                {"type": "tool_use", "id": f"toolu_{turn}_{number}", "name": call.name, "input": call.arguments}
            )
    message = {
        "id": f"msg_{turn}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "end_turn" if isinstance(said, str) else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    Message.model_validate(message)
    return message


def pieces(whole: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for event in _events(whole):
        _EVENT.validate_python(event)
        yield event["type"], event


def _events(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    for number, block in enumerate(whole["content"]):
        if block["type"] == "text":
            begun, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            begun = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield {"type": "content_block_start", "index": number, "content_block": begun}
        yield {"type": "content_block_delta", "index": number, "delta": delta}
        yield {"type": "content_block_stop", "index": number}
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}


def refusal(message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
