"""The tools as each provider is told of them: exactly as in golden/, and as the providers' own SDKs have it.

After a change that is meant, `make golden` writes the files anew; what they changed by is part of the review.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from anthropic.types import ToolParam
from mcp_types import Tool as McpTool
from openai.types.chat import ChatCompletionFunctionToolParam
from openai.types.responses import FunctionToolParam
from pydantic import TypeAdapter

from tests.adapters.golden.write import FOLDER, GOLDEN, written
from tests.providers.rules import (
    as_json_schema,
    check_anthropic_strict,
    check_gemini,
    check_json_schema,
    check_name,
    check_openai_strict,
    check_type,
)
from video_tool.adapters import TOOLS, Dialect, tool_schema, tool_schemas
from video_tool.errors import QuestionError

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
STRICT: tuple[Dialect, ...] = ("openai", "openai-responses", "anthropic")


@pytest.mark.parametrize("name", GOLDEN)
def test_nothing_changed_that_was_not_meant_to(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == written(*GOLDEN[name]), "see the top of this file"


def test_there_is_a_file_for_each() -> None:
    assert {dialect for dialect, _ in GOLDEN.values()} == set(DIALECTS)
    assert {dialect for dialect, strict in GOLDEN.values() if strict} == set(STRICT)
    assert {path.name for path in Path(FOLDER).glob("*.json")} == set(GOLDEN)


@pytest.mark.parametrize("strict", [False, True])
def test_openai_knows_all_of_it(strict: bool) -> None:
    for tool in tool_schemas("openai", strict=strict):
        check_type(TypeAdapter(ChatCompletionFunctionToolParam), tool, whole=True)
        assert tool["function"]["strict"] is strict
        _check_openai(tool["function"], strict)


@pytest.mark.parametrize("strict", [False, True])
def test_openai_responses_knows_all_of_it(strict: bool) -> None:
    for tool in tool_schemas("openai-responses", strict=strict):
        check_type(TypeAdapter(FunctionToolParam), tool, whole=True)
        assert tool["strict"] is strict  # when nothing is said, the API makes it so by itself
        _check_openai(tool, strict)


def _check_openai(function: dict[str, Any], strict: bool) -> None:
    check_name(function["name"])
    check_json_schema(function["parameters"])
    assert len(function["description"]) <= 1024  # the most that OpenAI takes of a function's
    if strict:
        check_openai_strict(function["parameters"])


@pytest.mark.parametrize("strict", [False, True])
def test_anthropic_knows_all_of_it(strict: bool) -> None:
    tools = tool_schemas("anthropic", strict=strict)
    for tool in tools:
        check_type(TypeAdapter(ToolParam), tool, whole=True)
        check_name(tool["name"])
        check_json_schema(tool["input_schema"])
        assert tool.get("strict", False) is strict
    check_anthropic_strict([tool["input_schema"] for tool in tools])


def test_gemini_knows_all_of_it() -> None:
    (tool,) = tool_schemas("gemini")
    check_gemini(tool)
    assert [function["name"] for function in tool["functionDeclarations"]] == list(TOOLS)
    for function in tool["functionDeclarations"]:
        check_name(function["name"])
        check_json_schema(as_json_schema(function["parameters"]))


def test_mcp_knows_all_of_it() -> None:
    for tool in tool_schemas("mcp"):
        known = McpTool.model_validate(tool)
        assert known.model_dump(mode="json", by_alias=True, exclude_none=True) == tool
        check_json_schema(tool["inputSchema"])
        check_json_schema(tool["outputSchema"])


def test_json_schema_is_one() -> None:
    for name, schema in zip(TOOLS, tool_schemas("json-schema"), strict=True):
        check_json_schema(schema)
        assert schema["title"] == name


COMMON = {"type", "properties", "required", "additionalProperties", "items", "description"}


def keywords(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema
    for each in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from keywords(each)


@pytest.mark.parametrize("tool", TOOLS)
def test_arguments_are_told_in_what_every_provider_takes(tool: str) -> None:
    """No references, defaults or bounds, whatever tools.py has: that is for descriptions, and for our own checks."""
    schema = tool_schema("json-schema", tool)
    assert set(keywords(schema)) == COMMON - ({"items"} if tool == "video_probe" else set()) | {"$schema", "title"}
    assert schema["additionalProperties"] is False


def arguments_in(dialect: Dialect, tool: dict[str, Any]) -> dict[str, Any]:
    """What a tool takes, as JSON Schema."""
    if dialect == "gemini":
        return as_json_schema(tool["parameters"])
    if dialect == "json-schema":
        return tool
    inner = tool["function"] if dialect == "openai" else tool
    return next(inner[key] for key in ("parameters", "input_schema", "inputSchema") if key in inner)


FULL = {
    "video_qa": {
        "question": "What happens?",
        "videos": ["a.mp4"],
        "images": ["b.png"],
        "start": 0.5,
        "end": 2,
        "num_frames": 4,
        "max_new_tokens": 9,
    },
    "video_probe": {"video": "a.mp4"},
    "video_frames": {"video": "a.mp4", "timestamps": [1, 2.5], "start": 0, "end": 3, "num_frames": 2},
}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("tool", TOOLS)
def test_the_same_calls_fit_everywhere(dialect: Dialect, strict: bool, tool: str) -> None:
    if strict and dialect not in STRICT:
        with pytest.raises(QuestionError, match="no strict schemas"):
            tool_schema(dialect, tool, strict=True)
        return
    fits = jsonschema.Draft202012Validator(arguments_in(dialect, tool_schema(dialect, tool, strict=strict))).is_valid
    full, required = FULL[tool], TOOLS[tool].arguments.model_json_schema()["required"]
    assert set(full) == set(TOOLS[tool].arguments.model_fields)
    assert fits(full)
    assert not fits(full | {"video": None, "question": None})
    assert not fits(full | {"vdieo": "a.mp4"}) or dialect == "gemini"  # which has no way to say so
    least = {name: full[name] for name in required}
    if set(least) != set(full):
        all_given = strict and dialect.startswith("openai")
        assert fits(least) is not all_given
        assert fits(dict.fromkeys(full) | least) is (all_given or dialect == "gemini")


def test_some_of_the_tools() -> None:
    assert tool_schemas("anthropic", ["video_probe"]) == [tool_schema("anthropic", "video_probe")]
    assert tool_schemas("gemini", ["video_probe"]) == [{"functionDeclarations": [tool_schema("gemini", "video_probe")]}]
    assert tool_schema("mcp")["name"] == "video_qa"
    assert tool_schemas("mcp", []) == []


def test_what_is_handed_out_is_the_callers() -> None:
    tool_schema("anthropic")["input_schema"]["properties"].clear()
    assert tool_schema("anthropic")["input_schema"]["properties"]


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(QuestionError, match="no dialect cohere") as error:
        tool_schemas("cohere")  # type: ignore[arg-type]
    assert error.value.hint == f"There are {', '.join(DIALECTS)}"
    with pytest.raises(QuestionError, match="no tool video_qas") as error:
        tool_schema("openai", "video_qas")
    assert error.value.hint == "There are video_qa, video_probe, video_frames"


def test_golden_files_are_json() -> None:
    for name in GOLDEN:
        assert json.loads((FOLDER / name).read_text(encoding="utf-8"))
