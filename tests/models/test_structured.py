"""Answers held to a schema: whatever the model would rather say, what it ends by itself is JSON of the schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, field_validator
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.generation import utils as generation

from tests.checkpoints import sentencepiece, tokenizer, write_checkpoint
from video_tool import Settings, VideoAnswer, VideoQA
from video_tool.builtin import CHECKPOINT, DEMO_VIDEO
from video_tool.errors import MissingDependencyError, QuestionError, StructuredOutputError
from video_tool.models.structured import Constraint, check_grammar, token_index
from video_tool.models.vocabulary import Vocabulary

SETTINGS = Settings(num_frames=2, allowed_roots=(DEMO_VIDEO.parent,))
QUESTION = "Are these two cats doing the same thing?"


class Cats(BaseModel):
    """What an agent would like to know of two videos."""

    cats: int = Field(ge=0, le=9)
    same_action: bool


class Scene(BaseModel):
    mood: Literal["calm", "wild"]
    shown: list[Cats] = Field(max_length=2)
    note: str | None = Field(default=None, max_length=5)


DEEP: dict[str, Any] = {"type": "integer"}
for _ in range(5000):
    DEEP = {"type": "array", "items": DEEP}

CATS = {
    "type": "object",
    "properties": {"cats": {"type": "integer", "minimum": 0, "maximum": 9}, "same_action": {"type": "boolean"}},
    "required": ["cats", "same_action"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def qa(checkpoint: Path) -> VideoQA:
    return VideoQA(checkpoint, device="cpu", settings=SETTINGS)


def asked(qa: VideoQA, **options: Any) -> VideoAnswer:
    return qa.ask(QUESTION, videos=[DEMO_VIDEO], **options)


# ── What comes out fits ───────────────────────────────────────────────────────────────────────────────────────────────


def bounds(least: Any, most: Any) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.tuples(least, most).map(lambda pair: (min(pair), max(pair)))


LENGTHS = bounds(st.integers(0, 3), st.integers(0, 4))
NAMES = st.sampled_from(["cats", "same_action", "e", "ß", "a b", 'q"', "<image>", "日本"])
LEAVES = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["boolean", "null"]}, {"type": "integer"}]),
    bounds(st.integers(-30, 30), st.integers(-30, 30)).map(
        lambda ends: {"type": "integer", "minimum": ends[0], "maximum": ends[1]}
    ),
    bounds(st.integers(-9, 9), st.integers(10, 30)).map(
        lambda ends: {"type": "number", "minimum": ends[0], "exclusiveMaximum": ends[1]}
    ),
    LENGTHS.map(lambda ends: {"type": "string", "minLength": ends[0], "maxLength": ends[1]}),
    st.sampled_from([{"type": "string", "pattern": "^[a-c]{1,3}$"}, {"type": "string", "format": "date"}]),
    st.lists(st.one_of(NAMES, st.integers(-3, 3), st.booleans(), st.none()), min_size=1, max_size=3).map(
        lambda values: {"enum": values}
    ),
    NAMES.map(lambda value: {"const": value}),
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, inner, max_size=3))
    needed = draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set[str]()
    made: dict[str, Any] = {"type": "object", "properties": properties, "required": sorted(needed)}
    return made | {"additionalProperties": False}


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        objects(inner),
        st.builds(
            lambda items, ends: {"type": "array", "items": items, "minItems": ends[0], "maxItems": ends[1]},
            inner,
            bounds(st.integers(0, 2), st.integers(0, 2)),
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda schemas: {"anyOf": schemas}),
    )


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=4)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=SCHEMAS, temperature=st.sampled_from([0.0, 1.0, 30.0]), seed=st.integers(0, 99))
def test_any_answer_fits_its_schema(qa: VideoQA, schema: dict[str, Any], temperature: float, seed: int) -> None:
    answer = asked(qa, response_format=schema, temperature=temperature, seed=seed, max_new_tokens=100)
    assert answer.text == answer.text.strip()
    if answer.finish_reason == "stop":
        assert answer.parsed == json.loads(answer.text)
        Draft202012Validator(schema).validate(answer.parsed)
        assert answer.warnings == ()
    else:
        assert answer.parsed is None
        assert "max_new_tokens" in answer.warnings[0]


def of_words() -> PreTrainedTokenizerFast:
    """Whole words alone, but those of JSON and of the schema among them; what is not known becomes another token."""
    words = ["<unk>", *'{}[]",:-0123456789', "cats", "same_action", "true", "false", " "]
    pieces = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    made = PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="<unk>")
    made.backend_tokenizer.decoder = sentencepiece().backend_tokenizer.decoder
    return made


@pytest.mark.parametrize("make", [tokenizer, sentencepiece, of_words])
@pytest.mark.parametrize("seed", range(5))
def test_any_tokenizer_will_do(make: Callable[[], PreTrainedTokenizerFast], seed: int) -> None:
    vocabulary = Vocabulary(make())
    constraint = Constraint(CATS, vocabulary, token_index(vocabulary, "it"), ends=[0])
    draws = torch.Generator().manual_seed(seed)
    said: list[int] = []
    while not constraint.complete:
        scores = torch.rand(1, len(vocabulary) + 3, generator=draws)
        said.append(int(constraint(torch.tensor([said]), scores).argmax()))
        constraint.accept(said[-1])
    data = json.loads(constraint.text(said))
    Draft202012Validator(CATS).validate(data)


def test_bytes_do_not_stand_in_for_letters() -> None:
    vocabulary = Vocabulary(sentencepiece())
    constraint = Constraint({"const": "cat"}, vocabulary, token_index(vocabulary, "it"), ends=[0])
    numbers = vocabulary.tokenizer.convert_tokens_to_ids(["<0x22>", "<0x63>", "c"])
    constraint.accept(numbers[0])  # which the words that it was trained on have not
    scores = constraint(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, len(vocabulary)))
    assert scores[0, numbers[1]] == float("-inf")


def test_a_checkpoint_of_sentencepiece(tmp_path: Path) -> None:
    qa = VideoQA(write_checkpoint(tmp_path, words=sentencepiece), device="cpu", settings=SETTINGS)
    answer = asked(qa, response_format=Cats)
    assert answer.parsed == Cats.model_validate_json(answer.text)
    assert answer.finish_reason == "stop"


# ── What comes of it ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_model_comes_back_as_an_instance_of_it(qa: VideoQA) -> None:
    answer = asked(qa, response_format=Scene, temperature=1.0, seed=1)
    assert answer.parsed == Scene.model_validate_json(answer.text)
    assert json.loads(answer.model_dump_json())["parsed"] == json.loads(answer.parsed.model_dump_json())
    again = VideoAnswer.model_validate_json(answer.model_dump_json())
    assert again == answer.model_copy(update={"parsed": answer.parsed.model_dump()})


def test_the_answer_ends_when_its_json_does(qa: VideoQA) -> None:
    answer = asked(qa, response_format=CATS, logprobs=True)
    assert answer.logprobs[-1].token.endswith("}")
    assert answer.finish_reason == "stop"
    exactly = asked(qa, response_format=CATS, max_new_tokens=answer.usage.new_tokens)
    assert (exactly.text, exactly.finish_reason, exactly.parsed) == (answer.text, "stop", answer.parsed)


def test_what_could_go_on_ends_with_the_closing_token(qa: VideoQA) -> None:
    answer = asked(qa, response_format={"type": "integer"}, temperature=30.0, seed=2, logprobs=True)
    assert (answer.finish_reason, answer.parsed) == ("stop", int(answer.text))
    assert answer.logprobs[-1].token == "<|im_end|>"


@pytest.mark.parametrize(("limit", "reason"), [({"max_new_tokens": 8}, "length"), ({"max_seconds": 1e-9}, "time")])
def test_what_is_cut_off_keeps_its_text_and_says_so(qa: VideoQA, limit: Any, reason: str) -> None:
    answer = asked(qa, response_format=Cats, **limit)
    assert (answer.finish_reason, answer.parsed) == (reason, None)
    assert any(next(iter(limit)) in warning for warning in answer.warnings)
    assert asked(qa, response_format=Cats).text.startswith(answer.text)


def test_what_a_validator_refuses_keeps_its_text_and_says_so(qa: VideoQA) -> None:
    class Picky(Cats):
        @field_validator("cats")
        @classmethod
        def refuse(cls, value: int) -> int:
            raise ValueError("never enough")

    answer = asked(qa, response_format=Picky)
    assert (answer.text, answer.finish_reason) == (asked(qa, response_format=Cats).text, "stop")
    assert answer.parsed is None
    assert "cats" in answer.warnings[0]
    assert "never enough" in answer.warnings[0]


def test_a_checkpoint_that_forbids_tokens_does_not_forbid_json(qa: VideoQA, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    path = folder / "generation_config.json"
    forbidden = {"suppress_tokens": list(range(len(tokenizer()))), "no_repeat_ngram_size": 1}
    path.write_text(json.dumps(json.loads(path.read_text()) | forbidden))
    answer = asked(VideoQA(folder, device="cpu", settings=SETTINGS), response_format=CATS)
    assert answer.text == asked(qa, response_format=CATS).text


def test_a_token_further_than_the_end_is_not_heard(qa: VideoQA, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where waiting for a device is dear, Transformers looks at the end of an answer a token late."""
    deferred = getattr(generation, "DeferredStopCheck", None)
    if deferred is None:
        pytest.skip("this Transformers does not")

    class Event:
        """The CPU has none: it is never behind."""

        def __init__(self, **_: Any) -> None: ...
        def record(self) -> None: ...
        def synchronize(self) -> None: ...

    expected = asked(qa, response_format=CATS, logprobs=True)
    monkeypatch.setattr(deferred, "is_supported", lambda *_, **__: True)
    monkeypatch.setattr(torch, "Event", Event)
    *pieces, answer = qa.stream(QUESTION, videos=[DEMO_VIDEO], response_format=CATS, logprobs=True)
    assert "".join(pieces) == answer.text
    differs = {"timings", "prefix_cache", "feature_cache"}
    assert answer.model_dump(exclude=differs) == expected.model_dump(exclude=differs)


def test_special_tokens_can_not_be_had_by_a_string(qa: VideoQA) -> None:
    vocabulary = Vocabulary(tokenizer())
    constraint = Constraint({"type": "string"}, vocabulary, token_index(vocabulary, "it"), ends=[0])
    constraint.accept(vocabulary.tokenizer.convert_tokens_to_ids('"'))
    scores = constraint(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, len(vocabulary)))
    assert (scores[0] == 0).sum() > 100
    assert all(scores[0, token] == float("-inf") for token in vocabulary.added)


# ── Every way of asking ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_way_of_asking_gives_the_same(qa: VideoQA) -> None:
    options: Any = {"videos": [DEMO_VIDEO], "response_format": Scene, "logprobs": True, "temperature": 1.0, "seed": 4}
    whole = qa.ask(QUESTION, **options)
    *pieces, streamed = qa.stream(QUESTION, **options)

    async def wait() -> tuple[VideoAnswer, list[Any]]:
        return await qa.aask(QUESTION, **options), [piece async for piece in qa.astream(QUESTION, **options)]

    awaited, (*later, last) = asyncio.run(wait())
    assert len(pieces) > 3
    assert "".join(pieces) == "".join(later) == whole.text
    differs = {"timings"}
    for answer in (streamed, awaited, last):
        assert answer.model_dump(exclude=differs) == whole.model_dump(exclude=differs)
        assert answer.parsed == whole.parsed
    options.pop("videos")
    talk = qa.conversation(videos=[DEMO_VIDEO])
    first = talk.ask(QUESTION, **options)
    assert (first.parsed, first.logprobs) == (whole.parsed, whole.logprobs)
    *told, second = talk.stream("And now?", response_format=Cats, max_new_tokens=50)
    assert isinstance(second.parsed, Cats)
    assert "".join(told) == second.text
    assert talk.ask("Why?", max_new_tokens=5).parsed is None


def test_drawing_and_penalties_play_along(qa: VideoQA) -> None:
    drawn: Any = {"response_format": CATS, "temperature": 2.0, "top_p": 0.5, "top_k": 3, "seed": 7}
    answer = asked(qa, repetition_penalty=1.5, **drawn)
    assert answer.text == asked(qa, repetition_penalty=1.5, **drawn).text
    Draft202012Validator(CATS).validate(answer.parsed)


# ── What is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "object", "not": {"required": ["a"]}}, "not"),
        ({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}, "if"),
        ({"type": "array", "contains": {"type": "integer"}}, "contains"),
        ({"type": "object", "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        ({"type": "object", "propertyNames": {"pattern": "^a"}}, "propertyNames"),
        ({"type": "object", "unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"type": "string", "format": "colour"}, "colour"),
        ({"type": "string", "pattern": "(?=a)b"}, "regex"),
        ({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}, "oneOf"),
        ({"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True}}, "uniqueItems"),
        ({"$ref": "https://example.org/schema.json"}, "example.org"),
        ({"type": "colour"}, "colour"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
        ({"type": "array", "items": {"type": "number", "multipleOf": 99999.99}}, "multipleOf"),
        ({"anyOf": [{"type": "integer", "multipleOf": 10**9}]}, "multipleOf"),
        (DEEP, "recursion"),
    ],
)
def test_what_can_not_be_enforced_is_refused_before_anything_is_fetched(schema: dict[str, Any], words: str) -> None:
    qa = VideoQA("./nowhere", settings=SETTINGS)
    with pytest.raises(QuestionError, match=words):
        qa.ask(QUESTION, videos=["missing.mp4"], response_format=schema)
    with pytest.raises(QuestionError, match=words):
        qa.conversation(videos=["missing.mp4"]).ask(QUESTION, response_format=schema)


def test_sets_of_pydantic_are_refused(qa: VideoQA) -> None:
    class Colours(BaseModel):
        seen: set[str]

    with pytest.raises(QuestionError, match="uniqueItems"):
        asked(qa, response_format=Colours)


def test_a_tokenizer_that_lacks_what_json_is_made_of() -> None:
    qa = VideoQA(CHECKPOINT, device="cpu", settings=SETTINGS)
    with pytest.raises(StructuredOutputError, match=r"can't spell JSON: it has no \{ \}") as refused:
        asked(qa, response_format=Cats)
    assert "choices" in refused.value.hint


def test_a_tokenizer_that_lacks_a_word_of_the_schema() -> None:
    vocabulary = Vocabulary(of_words())
    index = token_index(vocabulary, "it")
    constraint = Constraint({"type": "array", "items": {"const": "dogs"}, "minItems": 1}, vocabulary, index, [0])
    for token in vocabulary.tokenizer.convert_tokens_to_ids(["[", '"']):
        constraint.accept(token)
    with pytest.raises(StructuredOutputError, match="can't spell what the schema asks for"):
        constraint(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, len(vocabulary)))


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(MissingDependencyError) as missing:
        check_grammar(CATS)
    assert "video-tool[structured]" in missing.value.hint
