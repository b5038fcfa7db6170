"""Gemini's generateContent, as the scripted model speaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.genai import types
from pydantic import ValidationError

from tests.providers.rules import as_json_schema, check_gemini, check_json_schema, check_name, read_image
from tests.providers.scripted import MalformedError, OfferedTool, Result, Said, Seen, check

_PATH = re.compile(r"/v1\w*/models/[\w.-]+:(generateContent|streamGenerateContent\?alt=sse)")


def takes(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def streams(path: str, body: dict[str, Any]) -> bool:
    return "stream" in path


def read(body: dict[str, Any]) -> Seen:
    contents = list(map(_content, body["contents"]))
    asked: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for content in contents:
        results = _inside(content, "functionResponse")
        check(
            len(results) == len(asked),
            "the number of function response parts is equal to the number of function call parts of the call turn",
        )
        for call, result in zip(asked, results, strict=True):
            check(result["name"] == call["name"], f"{call['name']} was called, and {result['name']} answered")
            check(result.get("id") == call.get("id"), f"{call.get('id')} was called, and {result.get('id')} answered")
            check(isinstance(result.get("response"), dict), "a response is an object")
        asked = _inside(content, "functionCall")
    check(not asked, "a function call has no response")
    blobs = [part["inlineData"] for result in results for part in result.get("parts", ())]
    blobs += _inside(contents[-1], "inlineData")
    return Seen(
        tools={name: tool for given in body.get("tools", ()) for name, tool in _tools(given)},
        turns=sum(content["role"] == "model" for content in contents),
        words="".join(_inside(contents[-1], "text")),
        results=[_result(each) for each in results],
        images=[read_image(_standard(blob["data"]), blob["mimeType"]) for blob in blobs],
    )


def _content(given: dict[str, Any]) -> dict[str, Any]:
    """In camel case all over: the API reads snake case, too, and Google's SDK mixes them."""
    try:
        return types.Content.model_validate(given).model_dump(mode="json", by_alias=True, exclude_none=True)
    except ValidationError as error:
        raise MalformedError(str(error)) from error


def _inside(content: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [part[kind] for part in content["parts"] if kind in part]


def _standard(encoded: str) -> str:
    """Google's SDK writes the alphabet for addresses; the API reads both."""
    return encoded.replace("-", "+").replace("_", "/")


def _result(given: dict[str, Any]) -> Result:
    response = given["response"]
    failed = "error" in response
    told = response.get("error" if failed else "output", response)
    return Result(given["name"], told if isinstance(told, str) else str(told), failed)


def _tools(given: dict[str, Any]) -> Iterator[tuple[str, OfferedTool]]:
    check_gemini(given)
    for function in given["functionDeclarations"]:
        check_name(function["name"])
        schema = function.get("parametersJsonSchema") or as_json_schema(function["parameters"])
        check_json_schema(schema)
        yield function["name"], OfferedTool(schema, strict=False)


def whole(said: Said, turn: int, body: dict[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if isinstance(said, str):
        parts = [{"text": said}]
    else:
        for number, call in enumerate(said):
            check(not isinstance(call.arguments, str), "arguments are objects in this protocol")
            made = {"id": f"call-{turn}-{number}", "name": call.name, "args": call.arguments}
            parts.append({"functionCall": made})
    response = {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        "modelVersion": "scripted",
        "responseId": f"response-{turn}",
    }
    types.GenerateContentResponse.model_validate(response)
    return response


def pieces(whole: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    yield None, whole


def refusal(message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
