"""The tools as each provider wants them described, all derived from tools.py.

Every dialect gets the part of JSON Schema that all of them take: types, descriptions, and which arguments are required.
References, defaults and bounds are refused by one or the other: descriptions tell of them, and a call checks them.

What each wants of its own is from these pages, as they stood in 2026, and from the types of its SDK:

    OpenAI      developers.openai.com/api/docs/guides/function-calling, "Strict mode"
    Anthropic   platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"
    Gemini      ai.google.dev/api/caching, "FunctionDeclaration", "Schema"
    MCP         modelcontextprotocol.io/specification, "Tools"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from video_tool.adapters.results import ToolError
from video_tool.adapters.tools import TOOLS, VIDEO_QA, Tool
from video_tool.errors import QuestionError

Dialect = Literal["openai", "openai-responses", "anthropic", "gemini", "mcp", "json-schema"]
"""`openai` is that of Chat Completions, which many servers speak; `json-schema` describes the arguments alone."""

_STRICT = ("openai", "openai-responses", "anthropic")


def tool_schema(dialect: Dialect, tool: str = VIDEO_QA.name, *, strict: bool = False) -> dict[str, Any]:
    """One tool, described.

    Args:
        dialect: whose form it takes; for `gemini` a function declaration.
        tool: a name in `TOOLS`.
        strict: ask the provider to let its model write only arguments that fit.

    Raises:
        QuestionError: there is no such dialect or tool, or the dialect has nothing strict.
    """
    if dialect not in _WRITERS:
        raise QuestionError(f"there is no dialect {dialect}", hint=f"There are {', '.join(get_args(Dialect))}")
    if strict and dialect not in _STRICT:
        raise QuestionError(f"{dialect} has no strict schemas", hint=f"There are for {', '.join(_STRICT)}")
    if tool not in TOOLS:
        raise QuestionError(f"there is no tool {tool}", hint=f"There are {', '.join(TOOLS)}")
    return _WRITERS[dialect](TOOLS[tool], strict)


def tool_schemas(
    dialect: Dialect, tools: Iterable[str] = tuple(TOOLS), *, strict: bool = False
) -> list[dict[str, Any]]:
    """Several tools, as the list that a request to the provider has for `tools`.

    Args:
        dialect: whose form they take; for `gemini` the list holds one element, with all function declarations.
        tools: names in `TOOLS`.
        strict: as for `tool_schema`.

    Raises:
        QuestionError: as for `tool_schema`.
    """
    schemas = [tool_schema(dialect, tool, strict=strict) for tool in tools]
    return [{"functionDeclarations": schemas}] if dialect == "gemini" else schemas


def _arguments(tool: Tool) -> dict[str, Any]:
    schema = tool.arguments.model_json_schema()
    return {
        "type": "object",
        "properties": {name: _property(content) for name, content in schema["properties"].items()},
        "required": schema["required"],
        "additionalProperties": False,
    }


def _property(content: dict[str, Any]) -> dict[str, Any]:
    """Without null: it says the same as leaving the argument out, which models do better with fewer types to choose."""
    (kind,) = (kind for kind in content.get("anyOf", [content]) if kind != {"type": "null"})
    told = {"type": kind["type"], "description": content["description"], **kind}
    return {key: value for key, value in told.items() if key not in ("title", "default")}


def _for_openai(tool: Tool, strict: bool) -> dict[str, Any]:
    arguments = _all_required(_arguments(tool)) if strict else _arguments(tool)
    return {"name": tool.name, "description": tool.description, "parameters": arguments, "strict": strict}


def _all_required(arguments: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's strict mode has no arguments that may be missing, but those that may be null."""
    properties = {
        name: content
        if name in arguments["required"]
        else {
            **content,
            "type": [content["type"], "null"],
            "description": f"{content['description'].rstrip('.')}. null leaves it out.",
        }
        for name, content in arguments["properties"].items()
    }
    return {**arguments, "properties": properties, "required": list(properties)}


def _for_chat_completions(tool: Tool, strict: bool) -> dict[str, Any]:
    return {"type": "function", "function": _for_openai(tool, strict)}


def _for_responses(tool: Tool, strict: bool) -> dict[str, Any]:
    # Strict is always said: where it is not, the API rewrites the schema to be so
    return {"type": "function", **_for_openai(tool, strict)}


def _for_anthropic(tool: Tool, strict: bool) -> dict[str, Any]:
    # Strict, too, lets arguments be missing: 24 in a request, where only 16 may be of more than one type.
    told = {"name": tool.name, "description": tool.description, "input_schema": _arguments(tool)}
    return {**told, "strict": True} if strict else told


def _for_gemini(tool: Tool, _strict: bool) -> dict[str, Any]:
    arguments = _arguments(tool)
    properties = {
        name: _in_openapi(content) if name in arguments["required"] else {**_in_openapi(content), "nullable": True}
        for name, content in arguments["properties"].items()
    }
    schema = {"type": "OBJECT", "properties": properties, "required": arguments["required"]}
    return {"name": tool.name, "description": tool.description, "parameters": schema}


def _in_openapi(content: dict[str, Any]) -> dict[str, Any]:
    told = {**content, "type": content["type"].upper()}
    return {**told, "items": _in_openapi(content["items"])} if "items" in content else told


def _for_mcp(tool: Tool, _strict: bool) -> dict[str, Any]:
    # clients hold errors against the schema, too; an object at the top is what the protocol wants
    given: tuple[type[BaseModel], ...] = tool.result, ToolError
    schemas, definitions = models_json_schema([(model, "serialization") for model in given])
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": _arguments(tool),
        "outputSchema": {"type": "object", "anyOf": list(schemas.values()), **definitions},
        "annotations": {
            "title": tool.title,
            "readOnlyHint": True,
            "destructiveHint": False,
            "idempotentHint": True,
            "openWorldHint": True,
        },
    }


def _as_json_schema(tool: Tool, _strict: bool) -> dict[str, Any]:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": tool.name}
    return {**head, "description": tool.description, **_arguments(tool)}


_WRITERS: dict[Dialect, Callable[[Tool, bool], dict[str, Any]]] = {
    "openai": _for_chat_completions,
    "openai-responses": _for_responses,
    "anthropic": _for_anthropic,
    "gemini": _for_gemini,
    "mcp": _for_mcp,
    "json-schema": _as_json_schema,
}
