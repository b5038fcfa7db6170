"""Which generation options make sense, and what Transformers calls them."""

from __future__ import annotations

import math
from typing import Any

from video_tool.errors import QuestionError
from video_tool.question import GenerationOptions
from video_tool.response_format import json_schema

MOST_TOP_LOGPROBS = 20
"""As everywhere in the field: https://platform.openai.com/docs/api-reference/chat/create"""


def check_generation(options: GenerationOptions) -> None:
    """Refuses what makes sense for no model.

    Raises:
        QuestionError: a number out of range, an empty stop string, or options that exclude each other.
    """
    if options.max_new_tokens < 1:
        raise QuestionError(f"max_new_tokens is {options.max_new_tokens}", hint="Allow the answer 1 token or more.")
    if options.max_seconds is not None and not 0 < options.max_seconds < math.inf:
        raise QuestionError(f"max_seconds is {options.max_seconds}", hint="Give a number above 0.")
    if options.choices:
        _check_choices(options)
    if options.response_format is not None:
        _check_response_format(options)
    if options.top_logprobs is not None and not (options.logprobs and 0 <= options.top_logprobs <= MOST_TOP_LOGPROBS):
        raise QuestionError(
            f"top_logprobs is {options.top_logprobs}" + ("" if options.logprobs else ", and logprobs is not asked for"),
            hint=f"Give logprobs=True, and top_logprobs from 0 to {MOST_TOP_LOGPROBS}.",
        )
    if "" in options.stop:
        raise QuestionError(
            "a stop string is empty", hint="Leave it out: every answer would end before its first word."
        )
    if not 0 <= options.temperature < math.inf:
        raise QuestionError(f"temperature is {options.temperature}", hint="Give a number, 0 or more.")
    if options.top_p is not None and not 0 < options.top_p <= 1:
        raise QuestionError(f"top_p is {options.top_p}", hint="Give a probability above 0, up to 1.")
    if options.top_k is not None and options.top_k < 1:
        raise QuestionError(f"top_k is {options.top_k}", hint="Draw from 1 token or more.")
    if options.repetition_penalty is not None and not 0 < options.repetition_penalty < math.inf:
        raise QuestionError(f"repetition_penalty is {options.repetition_penalty}", hint="Give a number above 0.")
    if options.seed is not None and not -(2**63) <= options.seed < 2**64:
        raise QuestionError(f"seed is {options.seed}", hint="Give a whole number that fits into 64 bits.")
    drawn = [name for name in ("top_p", "top_k") if getattr(options, name) is not None]
    if drawn and options.temperature == 0:
        raise QuestionError(
            f"{drawn[0]} is given, and temperature 0 always takes the likeliest token",
            hint=f"Give a temperature above 0, or leave out {drawn[0]}.",
        )


def _check_response_format(options: GenerationOptions) -> None:
    json_schema(options.response_format)
    if options.stop:
        raise QuestionError(
            "response_format and stop are given together", hint="Leave out stop: the answer ends when its JSON does."
        )


def _check_choices(options: GenerationOptions) -> None:
    if len(options.choices) < 2 or len(set(options.choices)) < len(options.choices):
        raise QuestionError("choices holds fewer than two, or one of them twice", hint="Give two or more.")
    if not all(choice.strip() for choice in options.choices):
        raise QuestionError("a choice is empty", hint="Give each choice its words.")
    defaults = GenerationOptions()
    for name in GenerationOptions.model_fields:
        if name not in ("choices", "visual_tokens") and getattr(options, name) != getattr(defaults, name):
            raise QuestionError(
                f"choices and {name} are given together", hint=f"Leave out {name}: nothing is generated with choices."
            )


_UNFORBIDDEN: dict[str, Any] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "min_length": 0,
    "min_new_tokens": None,
    "no_repeat_ngram_size": 0,
    "suppress_tokens": None,
}
"""A checkpoint that forbids tokens could forbid all that a schema allows."""


def check_remote_generation(options: GenerationOptions) -> None:
    """Refuses what no server can do.

    Raises:
        QuestionError: there are choices, or fewer visual tokens are asked for.
    """
    check_foreign_generation(options)
    if options.choices:
        raise QuestionError(
            "choices can't be scored by a server",
            hint="Servers don't tell how likely given words are: ask a model that runs here, or name the choices in "
            "the question.",
        )


def check_foreign_generation(options: GenerationOptions) -> None:
    """Refuses what no model can do whose tokens are made by others than us.

    Raises:
        QuestionError: fewer visual tokens are asked for.
    """
    if options.visual_tokens != "all":
        raise QuestionError(
            f"visual_tokens is {options.visual_tokens!r}, and the model's tokens are not made here",
            hint="Leave out visual_tokens, or ask a model that Transformers runs here.",
        )


def generate_arguments(options: GenerationOptions) -> dict[str, Any]:
    """What `generate` of Transformers is to be called with; what is not given stays as the checkpoint has it."""
    arguments: dict[str, Any] = {"max_new_tokens": options.max_new_tokens}
    if options.repetition_penalty is not None:
        arguments["repetition_penalty"] = options.repetition_penalty
    if options.response_format is not None:
        arguments |= _UNFORBIDDEN
    if options.temperature == 0:
        # the checkpoint's own sampling settings would only be warned about
        return arguments | {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    drawn = {"top_p": options.top_p, "top_k": options.top_k}
    given = {name: value for name, value in drawn.items() if value is not None}
    return arguments | {"do_sample": True, "temperature": options.temperature} | given
