"""OpenAI's Responses, as the scripted model speaks it; without responses that the server keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from openai.types.responses import FunctionToolParam, Response, ResponseStreamEvent
from openai.types.responses.response_input_item_param import FunctionCallOutput
from pydantic import TypeAdapter

from tests.providers.rules import check_json_schema, check_name, check_openai_strict, check_type, read_data_url
from tests.providers.scripted import OfferedTool, Result, Said, Seen, check

_TOOL = TypeAdapter(FunctionToolParam)
_RESULT = TypeAdapter(FunctionCallOutput)
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def takes(path: str) -> bool:
    return path.endswith("/responses")


def streams(path: str, body: dict[str, Any]) -> bool:
    return bool(body.get("stream"))


def read(body: dict[str, Any]) -> Seen:
    check(not body.get("previous_response_id"), "responses are not kept here: send all items")
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    calls = {item["call_id"]: item for item in items if item.get("type") == "function_call"}
    outputs = [item for item in items if item.get("type") == "function_call_output"]
    check(sorted(calls) == sorted(item["call_id"] for item in outputs), "every function call has one output")
    for item in outputs:
        check_type(_RESULT, item)
    # calls say by their id in which turn they were made: their outputs may stand between them
    call_turns = {id_.split("_")[1] for id_ in calls}
    last = max(call_turns, key=int, default=None)
    since = [item for item in outputs if item["call_id"].split("_")[1] == last]
    texts = [item for item in items if item.get("role") == "assistant"]
    ended = bool(items) and items[-1].get("type") == "function_call_output"
    words = [_said(item) for item in items if item.get("role") == "user"]
    return Seen(
        tools=dict(map(_tool, body.get("tools", ()))),
        turns=len(texts) + len(call_turns),
        words="" if ended or not words else words[-1],
        results=[Result(calls[item["call_id"]]["name"], _text(item)) for item in since] if ended else [],
        images=[read_data_url(part["image_url"]) for item in since for part in _parts(item, "input_image")],
    )


def _tool(given: dict[str, Any]) -> tuple[str, OfferedTool]:
    check_type(_TOOL, {"strict": None, **given}, whole=True)
    check_name(given["name"])
    check_json_schema(given["parameters"])
    strict = given.get("strict") is True
    if given.get("strict") is None:  # the API makes one of it that is strict
        properties = given["parameters"].get("properties", {})
        given = {**given, "parameters": {**given["parameters"], "required": list(properties)}}
        strict = True
    if strict:
        check_openai_strict(given["parameters"])
    return given["name"], OfferedTool(given["parameters"], strict)


def _said(item: dict[str, Any]) -> str:
    content = item["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _parts(item: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [part for part in item["output"] if part["type"] == kind] if isinstance(item["output"], list) else []


def _text(item: dict[str, Any]) -> str:
    output = item["output"]
    return output if isinstance(output, str) else "".join(part["text"] for part in _parts(item, "input_text"))


def whole(said: Said, turn: int, body: dict[str, Any]) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if isinstance(said, str):
        content = [{"type": "output_text", "text": said, "annotations": []}]
        output = [{"type": "message", "id": f"msg_{turn}", "role": "assistant", "content": content}]
    else:
        for number, call in enumerate(said):
            arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
            ids = {"id": f"fc_{turn}_{number}", "call_id": f"call_{turn}_{number}"}
            output.append({"type": "function_call", **ids, "name": call.name, "arguments": arguments})
    details = {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    response = {
        "id": f"resp_{turn}",
        "object": "response",
        "created_at": 0,
        "model": body["model"],
        "status": "completed",
        "output": [{**item, "status": "completed"} for item in output],
        "tools": body.get("tools", []),
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details},
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
    }
    Response.model_validate(response)
    return response


def pieces(whole: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for number, event in enumerate(_events(whole)):
        told = {**event, "sequence_number": number}
        _EVENT.validate_python(told)
        yield told["type"], told


def _events(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    for number, item in enumerate(whole["output"]):
        place = {"item_id": item["id"], "output_index": number}
        if item["type"] == "function_call":
            empty = {**item, "arguments": "", "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": number, "item": empty}
            yield {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]}
            named = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **place, **named}
        else:
            empty = {**item, "content": [], "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": number, "item": empty}
            place["content_index"] = 0
            (part,) = item["content"]
            yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
            yield {"type": "response.output_text.delta", **place, "delta": part["text"], "logprobs": []}
            yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
            yield {"type": "response.content_part.done", **place, "part": part}
        yield {"type": "response.output_item.done", "output_index": number, "item": item}
    yield {"type": "response.completed", "response": whole}


def refusal(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
