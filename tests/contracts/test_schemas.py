"""The JSON schemas that agents read: every property says what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from video_tool import (
    FrameStamp,
    GenerationOptions,
    ModelInfo,
    Sampling,
    Timings,
    TokenLogprob,
    TopLogprob,
    Usage,
    VideoAnswer,
    VideoInfo,
    VideoQuestion,
)

ANSWER = VideoAnswer(
    text="It is moving left.",
    frames=(FrameStamp(video=0, index=0, timestamp=0.0), FrameStamp(video=1, index=25, timestamp=1.04)),
    videos=(
        VideoInfo(
            name="clip.mp4",
            width=64,
            height=32,
            duration=2.0,
            fps=25.0,
            total_frames=50,
            codec="h264",
            reader="decord",
        ),
    ),
    images=1,
    usage=Usage(visual_tokens=72, text_tokens=20, new_tokens=6),
    timings=Timings(fetch=0.0, decode=0.4, load=1.5, prompt=0.1, generate=0.2, total=2.25),
    warnings=("clip.mp4 has 6 frames in range, fewer than the 8 asked for.",),
    model=ModelInfo(
        id="builtin", revision=None, device="cpu", dtype="float32", attention="sdpa", takes="images", kind="chat"
    ),
    finish_reason="stop",
)


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties of a schema and of the schemas in it, by path."""
    for holder in (schema, *schema.get("$defs", {}).values()):
        for name, content in holder["properties"].items():
            yield f"{holder['title']}.{name}", content


def described(schema: dict[str, Any], content: dict[str, Any]) -> bool:
    """By itself, or by the type that it is of."""
    referred = content.get("$ref", "").rpartition("/")[2]
    return bool(content.get("description") or (referred and schema["$defs"][referred].get("description")))


@pytest.mark.parametrize("model", [VideoQuestion, VideoAnswer])
def test_every_property_is_described(model: type[VideoQuestion] | type[VideoAnswer]) -> None:
    schema = model.model_json_schema()
    found = dict(properties(schema))
    assert len(found) > 8
    assert [path for path, content in found.items() if not described(schema, content)] == []


@pytest.mark.parametrize("model", [VideoQuestion, VideoAnswer])
def test_nothing_else_is_taken(model: type[VideoQuestion] | type[VideoAnswer]) -> None:
    schema = model.model_json_schema()
    for holder in (schema, *schema["$defs"].values()):
        assert holder["additionalProperties"] is False


def test_what_a_question_is_made_of() -> None:
    schema = VideoQuestion.model_json_schema()
    assert set(schema["properties"]) == {"question", "videos", "images", "system", "examples", "sampling", "generation"}
    assert schema["required"] == ["question"]
    for media in ("videos", "images"):
        assert schema["properties"][media]["items"]["type"] == "string"


def test_an_answer_survives_json() -> None:
    assert VideoAnswer.model_validate_json(ANSWER.model_dump_json()) == ANSWER
    assert VideoAnswer.model_validate(ANSWER.model_dump()) == ANSWER


def test_what_an_answer_was_parsed_to_survives_json_as_what_json_holds() -> None:
    place = TokenLogprob(
        token="}",
        logprob=-0.5,
        bytes=(125,),
        top_logprobs=(TopLogprob(token="<|im_end|>", logprob=-0.9, bytes=None),),
    )
    answer = ANSWER.model_copy(update={"parsed": FrameStamp(video=0, index=1, timestamp=0.5), "logprobs": (place,)})
    again = VideoAnswer.model_validate_json(answer.model_dump_json())
    assert again.parsed == {"video": 0, "index": 1, "timestamp": 0.5}
    assert again.logprobs == answer.logprobs
    assert VideoAnswer.model_validate_json(again.model_dump_json()) == again


def test_a_question_survives_json() -> None:
    question = VideoQuestion(
        question="What?",
        videos=("a.mp4", "b.mp4"),
        sampling=Sampling(fps=2, end=3.5),
        generation=GenerationOptions(response_format={"type": "object"}, logprobs=True, top_logprobs=2),
    )
    assert VideoQuestion.model_validate_json(question.model_dump_json()) == question


@pytest.mark.parametrize("changed", [{"unknown": 1}, {"finish_reason": "tired"}, {"frames": [{"video": 0}]}])
def test_what_is_no_answer_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VideoAnswer.model_validate(ANSWER.model_dump() | changed)


def test_answers_and_questions_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        ANSWER.text = "It is moving right."
    with pytest.raises(ValidationError):
        VideoQuestion(question="What?").question = "Why?"
