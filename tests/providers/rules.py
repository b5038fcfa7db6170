"""What the providers' SDKs and documentation say of the schemas of tools, as checks."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import jsonschema
from anthropic.lib._parse._transform import transform_schema
from google.genai import types
from openai.lib._pydantic import _ensure_strict_json_schema
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from tests.providers.scripted import check

Schema = dict[str, Any]

_ANTHROPIC_STRICT_TOOLS = 20
_ANTHROPIC_OPTIONAL = 24
_ANTHROPIC_UNIONS = 16
"""In one request: platform.claude.com/docs/en/build-with-claude/structured-outputs, "Explicit limits"."""


def check_type(adapter: TypeAdapter[Any], given: object, *, whole: bool = False) -> None:
    """It is of one of the SDK's types; with `whole`, the type knows everything that is in it."""
    try:
        known = _all_of(adapter.validate_python(given))
    except ValidationError as error:
        check(False, f"{given}: {error}")
    else:
        check(not whole or known == given, f"of {given}, the SDK knows only {known}")


def _all_of(validated: Any) -> Any:
    """What is only checked when it is read (pydantic's iterators) is checked, too."""
    if isinstance(validated, dict):
        return {key: _all_of(value) for key, value in validated.items()}
    if isinstance(validated, str | bytes | int | float | None):
        return validated
    return [_all_of(value) for value in validated]


def check_name(name: str) -> None:
    """OpenAI and Anthropic allow 64 of these, Gemini more."""
    check(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) is not None, f"a tool can't be called {name}")


def check_json_schema(schema: Schema) -> None:
    """It is one, of an object."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        check(False, f"no JSON schema: {error.message}")
    check(schema.get("type") == "object", "arguments are an object")


def check_openai_strict(schema: Schema) -> None:
    """OpenAI's helper that makes schemas strict finds nothing to change, and the rules that the API checks hold."""
    strict = deepcopy(schema)
    check(_ensure_strict_json_schema(strict, path=(), root=strict) == schema, f"not strict: {schema}")
    for each in _parts(schema):
        check(each.get("additionalProperties", False) is False, f"additionalProperties must be false in {each}")
        refused = {"default", "allOf", "oneOf", "not", "if", "then", "else", "patternProperties", "uniqueItems"}
        check(not refused & each.keys(), f"{refused & each.keys()} is not permitted in {each}")


def check_anthropic_strict(schemas: Sequence[Schema]) -> None:
    """Anthropic's helper that makes schemas strict finds nothing to change, and all together are within the limits."""
    check(len(schemas) <= _ANTHROPIC_STRICT_TOOLS, f"{len(schemas)} strict tools")
    optional = unions = 0
    for schema in schemas:
        check(transform_schema(schema) == schema, f"not strict: {schema}")
        for each in _parts(schema):
            optional += len(each.get("properties", {})) - len(each.get("required", ()))
            unions += "anyOf" in each or isinstance(each.get("type"), list)
    check(optional <= _ANTHROPIC_OPTIONAL, f"too many optional parameters ({optional})")
    check(unions <= _ANTHROPIC_UNIONS, f"too many parameters with union types ({unions})")


def check_gemini(tool: dict[str, Any]) -> None:
    """Google's type knows all of it, and what the API refuses is not in it."""
    try:
        known = types.Tool.model_validate(tool)
    except ValidationError as error:
        check(False, str(error))
    else:
        told = known.model_dump(mode="json", by_alias=True, exclude_none=True)
        check(told == tool, f"of {tool}, the SDK knows only {told}")
    for function in tool["functionDeclarations"]:
        if "parametersJsonSchema" in function:
            check_json_schema(function["parametersJsonSchema"])
            continue
        for each in _parts(function["parameters"]):
            refused = {"additionalProperties", "$ref", "$defs", "ref", "defs", "default"} & each.keys()
            check(not refused, f"{refused} is not permitted in {each}")
            check(isinstance(each["type"], str) and each["type"].isupper(), f"no type: {each['type']}")


def as_json_schema(schema: Schema) -> Schema:
    """Gemini's as JSON Schema."""
    told = {key: value for key, value in schema.items() if key != "nullable"}
    told["type"] = schema["type"].lower()
    if schema.get("nullable"):
        told["type"] = [told["type"], "null"]
    if "items" in schema:
        told["items"] = as_json_schema(schema["items"])
    if "properties" in schema:
        told["properties"] = {name: as_json_schema(content) for name, content in schema["properties"].items()}
    return told


def _parts(schema: Schema) -> Iterator[Schema]:
    """The schema, and all in it."""
    yield schema
    inside = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("$defs", {}).values()]
    for each in [*inside, *([schema["items"]] if "items" in schema else [])]:
        yield from _parts(each)


def read_image(encoded: str, media_type: str) -> Image.Image:
    """A picture out of a request, of the type that it says."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))
    check(image.get_format_mimetype() == media_type, f"{image.format} was called {media_type}")
    image.load()
    return image


def read_data_url(url: str) -> Image.Image:
    """A picture out of a data URL."""
    match = re.fullmatch(r"data:([\w/]+);base64,(.*)", url, re.DOTALL)
    check(match is not None, f"no data URL: {url[:40]}")
    assert match is not None
    return read_image(match[2], match[1])
