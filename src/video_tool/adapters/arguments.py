"""What a model wrote as arguments, checked; what is wrong with it is said in words that it can act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from video_tool.adapters.tools import ToolArguments
from video_tool.errors import QuestionError

_T = TypeVar("_T", bound=ToolArguments)

_LONGEST_SHOWN = 60  # characters


def read_arguments(kind: type[_T], given: Mapping[str, Any] | str) -> _T:
    """The arguments of a call.

    Args:
        kind: what the tool takes.
        given: an object, or its JSON. null stands for what is taken by default; a single text where a list belongs is
            a list of one.

    Raises:
        QuestionError: it is no object, or an argument is missing, unknown or of a wrong type.
    """
    known = kind.model_fields
    arguments = {name: value for name, value in _object(given).items() if value is not None}
    for name in arguments:
        if name not in known:
            meant = get_close_matches(name, known, n=1, cutoff=0.5)
            raise QuestionError(
                f"there is no argument {_shown(name)}",
                hint=f"did you mean {meant[0]}?" if meant else f"there are {', '.join(known)}",
            )
    for name in ("videos", "images"):
        if isinstance(arguments.get(name), str):
            arguments[name] = [arguments[name]]
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        name = "".join(f"[{part}]" if isinstance(part, int) else part for part in first["loc"])
        if first["type"] == "missing":
            raise QuestionError(f"the argument {name} is missing", hint="give it") from None
        raise QuestionError(
            f"{name} is {_shown(first['input'])}", hint=f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        ) from None


def _object(given: Mapping[str, Any] | str) -> Mapping[str, Any]:
    parsed: Any = given
    if isinstance(given, str):
        try:
            parsed = json.loads(given) if given.strip() else {}
        except (ValueError, RecursionError):
            raise QuestionError("the arguments are no JSON", hint="write them as one JSON object") from None
    if not isinstance(parsed, Mapping):
        raise QuestionError(
            f"the arguments are {_shown(parsed)}", hint='write them as one JSON object, such as {"question": "…"}'
        )
    return parsed


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
