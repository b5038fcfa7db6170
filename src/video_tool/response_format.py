"""`response_format`: the JSON schema that it stands for, and an answer read by it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel, PydanticUserError, ValidationError

from video_tool.answer import FinishReason
from video_tool.errors import QuestionError

ResponseFormat: TypeAlias = type[BaseModel] | Mapping[str, Any]
"""What an answer in JSON has to fit: a class derived from pydantic's `BaseModel`, or a JSON schema."""


def json_schema(response_format: ResponseFormat) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) that an answer has to fit.

    Of a pydantic model, objects have the fields that are declared and no others, unless the model allows them.

    Raises:
        QuestionError: it is neither a model's class nor a JSON schema.
    """
    model = _model(response_format)
    if model is not None:
        return _schema_of(model)
    if not isinstance(response_format, Mapping):
        raise QuestionError(
            f"response_format is {response_format!r}",
            hint="Give a class derived from pydantic's BaseModel, or a JSON schema as a dict.",
        )
    try:
        schema: dict[str, Any] = json.loads(json.dumps(dict(response_format), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise QuestionError(
            f"response_format is no JSON schema: {error}",
            hint='Give one such as {"type": "object", "properties": {"cats": {"type": "integer"}}}.',
        ) from error
    return schema


def read_json(
    response_format: ResponseFormat | None, text: str, finish_reason: FinishReason
) -> tuple[Any, tuple[str, ...]]:
    """The answer as data, and what to warn of: an answer that can't be read is still worth its text.

    Returns:
        An instance of the pydantic model, or for a JSON schema what the JSON holds; None without `response_format`,
        and where a warning says that there is none.
    """
    if response_format is None:
        return None, ()
    if finish_reason != "stop":
        limit = {"length": "max_new_tokens", "time": "max_seconds"}[finish_reason]
        return None, (f"The JSON is cut off, and parsed is empty: allow more with {limit}.",)
    model = _model(response_format)
    try:
        data = json.loads(text, parse_float=_finite)
        return data if model is None else model.model_validate_json(text), ()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return None, (f"{error.title} refuses the JSON, and parsed is empty: {place}{place and ': '}{first['msg']}",)
    except (ValueError, RecursionError) as error:
        return None, (f"The JSON can't be read, and parsed is empty: {error}",)


def _model(response_format: object) -> type[BaseModel] | None:
    if isinstance(response_format, type) and issubclass(response_format, BaseModel):
        return response_format
    return None


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise QuestionError(
            f"{model.__name__} has no JSON schema: {error.message.splitlines()[0]}",
            hint="Use fields that JSON has: text, numbers, booleans, lists, other models.",
        ) from error
    for declared in (schema, *schema.get("$defs", {}).values()):
        if "properties" in declared:
            # validating ignores other fields, and a language model would go on making them up
            declared.setdefault("additionalProperties", False)
    return schema


def _finite(written: str) -> float:
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"{written[:20]} is more than a number can be")
    return number
