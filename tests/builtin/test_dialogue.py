"""Every right answer agrees with what is shown, and can be said in the built-in model's own words."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from video_tool.builtin import CHECKPOINT
from video_tool.builtin.answers import NO_MOTION_IN_IMAGE, REFUSAL, Shown, answer_all, answer_one
from video_tool.builtin.clips import COLOURS, MOTIONS, SHAPES
from video_tool.builtin.dialogue import Turn, random_conversation

# How motions are spoken of, written down apart from the grammar.
SAID = {
    "left": r"\bleft(wards)?\b",
    "right": r"\bright(wards)?\b",
    "up": r"\b(up|upwards|rise|rising)\b",
    "down": r"\b(down|downwards|fall|falling|sink|sinking)\b",
    "growing": r"\b(grow|growing|expand|expanding|enlarging|bigger|larger)\b",
    "shrinking": r"\b(shrink|shrinking|contracting|smaller)\b",
    "still": r"\b(still|motionless|stationary|in place|not mov(e|ing))\b",
    "blinking": r"\b(blink|flash|flicker|appear)(ing)?\b",
}

motions = st.lists(st.sampled_from(MOTIONS), min_size=1, max_size=2, unique=True).map(tuple)
videos = st.builds(Shown, st.just("video"), st.sampled_from(SHAPES), st.sampled_from(COLOURS), motions)
images = st.builds(Shown, st.just("image"), st.sampled_from(SHAPES), st.sampled_from(COLOURS), st.just(()))
nothing = st.builds(Shown, st.sampled_from(["video", "image"]), st.none(), st.sampled_from(COLOURS), st.just(()))
scenes = st.lists(st.one_of(videos, videos, images, nothing), min_size=1, max_size=3)
seeds = st.integers(0, 2**32)


def talk(seed: int, shown: Sequence[Shown]) -> list[Turn]:
    return random_conversation(np.random.default_rng(seed), shown, turns=3)


def motions_in(text: str) -> list[str]:
    """The motions that a text speaks of, in its order."""
    found = [(match.start(), motion) for motion, words in SAID.items() for match in re.finditer(words, text)]
    return [motion for _, motion in sorted(found)]


def words_in(text: str, words: Sequence[str]) -> list[str]:
    return re.findall(rf"\b({'|'.join(words)})s?\b", text)


def verdicts(answer: str) -> list[bool]:
    """Every yes and no in an answer."""
    return [word.lower() == "yes" for word in re.findall(r"\b(yes|no)\b", answer, re.IGNORECASE)]


@given(seed=seeds, shown=scenes)
def test_answers_tell_of_nothing_that_is_not_shown(seed: int, shown: list[Shown]) -> None:
    turns = talk(seed, shown)
    assert len(turns) == 3
    for turn in turns:
        assert turn.question
        assert not re.search(r"[(){}|\[\]]|  ", re.sub(r" \(in [^()]*\)", "", turn.question)), turn.question
        if turn.answer in (REFUSAL, NO_MOTION_IN_IMAGE):
            continue
        assert set(words_in(turn.answer, COLOURS)) <= {s.colour for s in shown}
        assert set(words_in(turn.answer, SHAPES)) <= {s.shape for s in shown}
        assert set(motions_in(turn.answer)) <= {motion for s in shown for motion in s.motions}


@given(seed=seeds, shown=scenes)
def test_markers_are_one_for_each_video_and_image(seed: int, shown: list[Shown]) -> None:
    first, *later = talk(seed, shown)
    markers = re.findall(r"<(video|image)>", first.question)
    assert markers == ([s.medium for s in shown] if first.marked else [])
    assert not any("<" in turn.question or turn.marked for turn in later)


@given(seed=seeds, video=videos)
def test_yes_and_no_about_one_video(seed: int, video: Shown) -> None:
    for turn in talk(seed, [video]):
        if turn.kind == "is_colour":
            assert verdicts(turn.answer) == [words_in(turn.question, COLOURS)[0] == video.colour]
        elif turn.kind == "is_shape":
            assert verdicts(turn.answer) == [words_in(turn.question, SHAPES)[0] == video.shape]
        elif turn.kind == "is_motion":
            asked = set(motions_in(turn.question))
            assert len(asked) == 1, turn.question
            assert verdicts(turn.answer) == [bool(asked & set(video.motions))]
        elif turn.kind == "is_moving":
            assert verdicts(turn.answer) == [bool({"left", "right", "up", "down"} & set(video.motions))]
        else:
            assert verdicts(turn.answer) == []


@given(video=videos)
def test_facts_of_one_video(video: Shown) -> None:
    told = list(video.motions)
    assert words_in(answer_one("colour", video), COLOURS) == [video.colour]
    assert words_in(answer_one("shape", video), SHAPES) == [video.shape]
    assert motions_in(answer_one("motion", video)) == told
    assert motions_in(answer_one("sequence", video)) == told
    assert motions_in(answer_one("first", video)) == told[:1]
    assert motions_in(answer_one("then", video)) == told[-1:]
    caption = answer_one("caption", video)
    assert (words_in(caption, COLOURS), words_in(caption, SHAPES)) == ([video.colour], [video.shape])
    assert motions_in(caption) == told


@given(shown=st.lists(videos, min_size=2, max_size=3))
def test_facts_of_several_videos_come_in_their_order(shown: list[Shown]) -> None:
    each = answer_all("each", shown)
    assert words_in(each, COLOURS) == [s.colour for s in shown]
    assert words_in(each, SHAPES) == [s.shape for s in shown]
    assert motions_in(each) == [motion for s in shown for motion in s.motions]
    assert re.findall(r"first video|second video|third video", each) == [
        f"{ordinal} video" for ordinal in ("first", "second", "third")[: len(shown)]
    ]
    same = answer_all("same_motion", shown)
    assert verdicts(same) == [len({s.motions for s in shown}) == 1]
    assert motions_in(same) == [motion for s in shown for motion in s.motions]
    for kind, facts in (("same_colour", [s.colour for s in shown]), ("same_shape", [s.shape for s in shown])):
        answer = answer_all(kind, shown)
        assert verdicts(answer) == [len(set(facts)) == 1]
        assert words_in(answer, (*COLOURS, *SHAPES)) == facts


@given(seed=seeds, medium=st.sampled_from(["video", "image"]))
def test_without_a_shape_there_is_nothing_to_tell(seed: int, medium: str) -> None:
    assert {turn.answer for turn in talk(seed, [Shown(medium, None, "red", ())])} == {REFUSAL}


@given(seed=seeds, image=images)
def test_an_image_does_not_move(seed: int, image: Shown) -> None:
    for turn in talk(seed, [image]):
        assert motions_in(turn.answer) == []


def test_every_kind_of_question_comes_up() -> None:
    rng = np.random.default_rng(0)
    shown = [Shown("video", "circle", "red", ("left",)), Shown("video", "square", "blue", ("up", "still"))]
    kinds = {turn.kind for _ in range(400) for turn in random_conversation(rng, shown, turns=3)}
    assert kinds >= {"colour", "shape", "motion", "caption", "sequence", "first", "then", "strange"}
    assert kinds >= {"is_motion", "is_moving", "is_colour", "is_shape", "each", "same_motion"}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))


@settings(max_examples=100)
@given(seed=seeds, shown=scenes)
def test_every_word_of_every_answer_is_a_token(tokenizer: Tokenizer, seed: int, shown: list[Shown]) -> None:
    for turn in talk(seed, shown):
        encoded = tokenizer.encode(turn.answer)
        assert "<unk>" not in encoded.tokens
        assert tokenizer.decode(encoded.ids).strip() == turn.answer


def test_other_words_are_no_tokens(tokenizer: Tokenizer) -> None:
    assert "<unk>" in tokenizer.encode("It is a zebra.").tokens
