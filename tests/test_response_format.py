"""What `response_format` stands for, and answers read by it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from video_tool import GenerationOptions
from video_tool.errors import QuestionError
from video_tool.response_format import json_schema, read_json


class Shape(BaseModel):
    colour: str = Field(description="In one word.")
    corners: int


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    shapes: list[Shape]
    seen: date | None = None


class Node(BaseModel):
    next: Node | None = None


def test_a_model_is_its_schema_with_the_fields_that_it_declares_and_no_others() -> None:
    schema = json_schema(Shape)
    assert (schema["required"], schema["additionalProperties"]) == (["colour", "corners"], False)
    assert schema["properties"]["colour"]["description"] == "In one word."
    assert "additionalProperties" not in Shape.model_json_schema()


def test_models_within_models_are_closed_as_well_unless_they_say_otherwise() -> None:
    schema = json_schema(Open)
    assert schema["additionalProperties"] is True
    assert schema["$defs"]["Shape"]["additionalProperties"] is False
    assert json_schema(Node)["$defs"]["Node"]["additionalProperties"] is False


def test_a_schema_is_itself() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ("x", 1)}}}
    assert json_schema(schema) == {"type": "object", "properties": {"a": {"enum": ["x", 1]}}}


class Unwritable(BaseModel):
    callback: Callable[[], None]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cats": int}, "no JSON schema"),
        ({"maximum": float("nan")}, "no JSON schema"),
        (int, "response_format is"),
        (Shape(colour="red", corners=4), "response_format is"),
        ('{"type": "object"}', "response_format is"),
        ([1], "response_format is"),
        (Unwritable, "Unwritable has no JSON schema"),
    ],
)
def test_what_is_neither_is_refused(given: Any, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        json_schema(given)


def test_answers_are_read_as_asked() -> None:
    text = '{"colour": "red", "corners": 4}'
    assert read_json(None, text, "stop") == (None, ())
    assert read_json(Shape, text, "stop") == (Shape(colour="red", corners=4), ())
    assert read_json(json_schema(Shape), text, "stop") == ({"colour": "red", "corners": 4}, ())
    assert read_json({"type": "null"}, "null", "stop") == (None, ())


@pytest.mark.parametrize(
    ("asked", "text", "reason", "words"),
    [
        ({"type": "integer"}, "12", "length", "max_new_tokens"),
        ({"type": "integer"}, "12", "time", "max_seconds"),
        (Open, '{"shapes": [], "seen": "2024-02-31"}', "stop", "Open refuses the JSON.*: seen: "),
        (Open, '{"shapes": [{"colour": "red"}]}', "stop", "shapes.0.corners"),
        ({"type": "number"}, "1e999", "stop", "1e999 is more than a number can be"),
        ({"type": "integer"}, "1" * 5000, "stop", "can't be read"),
        ({}, "[" * 100_000, "stop", "can't be read"),
        ({}, '{"a": ', "stop", "can't be read"),
    ],
)
def test_what_can_not_be_read_is_warned_of(asked: Any, text: str, reason: Any, words: str) -> None:
    parsed, (warning,) = read_json(asked, text, reason)
    assert parsed is None
    assert "parsed is empty" in warning
    assert re.search(words, warning)


def test_options_with_a_model_are_written_down_with_its_schema() -> None:
    options = GenerationOptions(response_format=Shape)
    written = GenerationOptions.model_validate_json(options.model_dump_json())
    assert written.response_format == json_schema(Shape)
    assert written == options.model_copy(update={"response_format": json_schema(Shape)})
    assert GenerationOptions.model_validate_json(GenerationOptions().model_dump_json()) == GenerationOptions()
