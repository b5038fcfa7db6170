"""Every family answers a question that begins as an earlier one with the tokens of a model that has seen neither."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from tests.families.loaded import Loaded, image, video
from video_tool.errors import QuestionError
from video_tool.frames import Frames
from video_tool.models.base import Generation
from video_tool.progress import ignore_progress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions

FORGETFUL = {"Qwen3.5", "Gemma 3", "Gemma 4", "LFM2-VL", "Mistral 3"}
"""Those of which a small checkpoint's layers keep less than all keys and values, or whose tokens look ahead."""

_seeds = count(1000)
"""Of media that no other test has shown."""


def fresh() -> Frames:
    return video(next(_seeds))


def alone(loaded: Loaded, messages: Sequence[Message]) -> list[int]:
    """What plain Transformers says."""
    preprocessor = loaded.ours.preprocessor
    return loaded.generate(preprocessor.encode(preprocessor.prompt(messages)))


def ask(loaded: Loaded, messages: Sequence[Message]) -> Generation:
    return loaded.ours.generate(messages, GenerationOptions(max_new_tokens=8), ignore_progress)


def reused(loaded: Loaded, generation: Generation) -> int | None:
    """Tokens that came from the cache; None where the family does without, and says why."""
    use = generation.prefix_cache
    assert use is not None
    assert (use.unused is not None) == (loaded.tested.name in FORGETFUL), use
    return None if use.unused else use.tokens


MEDIA: dict[str, Any] = {
    "one video": lambda: [fresh()],
    "two videos": lambda: [fresh(), fresh()],
    "three videos": lambda: [fresh(), fresh(), fresh()],
    "a video and an image": lambda: [fresh(), image(next(_seeds))],
    "images": lambda: [image(next(_seeds)), image(next(_seeds))],
}


@pytest.mark.parametrize("media", MEDIA.values(), ids=MEDIA)
def test_a_further_question_goes_on_behind_the_media(loaded: Loaded, media: Any) -> None:
    shown = media()
    first = ask(loaded, loaded.messages(shown, "What moves?"))
    assert reused(loaded, first) in (0, None)
    for question in ("Is the square red?", "What moves?"):
        messages = loaded.messages(shown, question)
        further = ask(loaded, messages)
        assert list(further.said.tokens) == alone(loaded, messages)
        visual = further.usage.visual_tokens
        assert visual is not None
        assert reused(loaded, further) in (None, *range(visual, visual + further.usage.text_tokens))


def test_a_conversation_takes_another_video(loaded: Loaded) -> None:
    """The cut is between the two: positions of the second one follow from the first."""
    one, two = fresh(), fresh()
    begun = loaded.messages([one], "What moves?")
    said = ask(loaded, begun)
    begun = (*begun, Message("assistant", (said.said.text or "yes",)))
    turns = (*begun, *loaded.messages([two], "And here?"))
    further = ask(loaded, turns)
    assert list(further.said.tokens) == alone(loaded, turns)
    known = reused(loaded, further)
    assert known is None or known > 0
    last = (*turns, Message("assistant", ("left",)), Message("user", ("Are you sure?",)))
    assert list(ask(loaded, last).said.tokens) == alone(loaded, last)


def test_only_the_second_video_is_another(loaded: Loaded) -> None:
    one, two, other = fresh(), fresh(), fresh()
    ask(loaded, loaded.messages([one, two]))
    messages = loaded.messages([one, other])
    assert list(ask(loaded, messages).said.tokens) == alone(loaded, messages)
    messages = loaded.messages([other, one])
    assert list(ask(loaded, messages).said.tokens) == alone(loaded, messages)


def test_another_prompt_in_between(loaded: Loaded) -> None:
    """What a model keeps of the last prompt besides keys and values is of another one."""
    one, two = fresh(), [fresh(), fresh()]
    ask(loaded, loaded.messages([one]))
    ask(loaded, loaded.messages(two))
    messages = loaded.messages([one], "Is it red?")
    assert list(ask(loaded, messages).said.tokens) == alone(loaded, messages)


PIXELS_OF_VIDEOS = {"Gemma 4", "Idefics3", "InternVL3", "PerceptionLM", "SmolVLM2", "Video-LLaVA"}
"""Families whose videos, or frames of videos, can't be told apart in what their vision towers take or make."""

PIXELS_OF_IMAGES = {"Idefics3", "InternVL3", "LFM2-VL", "LLaVA-OneVision", "PerceptionLM", "SmolVLM2"}
"""Those of which that holds for images."""


@pytest.mark.parametrize(
    ("media", "given_pixels"),
    [
        (lambda: [fresh(), fresh(), fresh()], PIXELS_OF_VIDEOS),
        (lambda: [image(next(_seeds)) for _ in range(3)], PIXELS_OF_IMAGES),
    ],
    ids=["videos", "images"],
)
def test_features_are_of_use_in_another_order(loaded: Loaded, media: Any, given_pixels: set[str]) -> None:
    """And beside others: the tower looks at what is new, alone."""
    one, two, three = media()
    ask(loaded, loaded.messages([one, two]))
    for shown, known, new in (([two, one], 2, 0), ([three, two], 1, 1)):
        messages = loaded.messages(shown, "What is there?")
        answer = ask(loaded, messages)
        assert list(answer.said.tokens) == alone(loaded, messages)
        use = answer.feature_cache
        assert use is not None
        each = len(one.images) if isinstance(one, Frames) and not loaded.tested.video else 1
        found = (use.known, use.computed, use.unused is None)
        assert found == ((0, 0, False) if loaded.tested.name in given_pixels else (known * each, new * each, True)), use


@pytest.mark.parametrize("how", ["pooled", "changed"])
def test_fewer_visual_tokens_or_a_refusal(loaded: Loaded, how: Any) -> None:
    messages = loaded.messages([fresh(), fresh()])
    options = GenerationOptions(max_new_tokens=4, visual_tokens=how)
    if loaded.tested.name != "LLaVA-Interleave":
        with pytest.raises(QuestionError, match="no square grid"):
            loaded.ours.generate(messages, options, ignore_progress)
        return
    usage = loaded.ours.generate(messages, options, ignore_progress).usage
    assert usage.unreduced_visual_tokens == ask(loaded, messages).usage.visual_tokens
    assert how == "changed" or (usage.visual_tokens or 0) < (usage.unreduced_visual_tokens or 0)


def test_several_questions_at_once(loaded: Loaded) -> None:
    shown = [fresh(), fresh()]
    questions = [loaded.messages(shown, words) for words in ("What moves?", "Is the square red?", "Left?")]
    answers = loaded.ours.generate_many(questions, GenerationOptions(max_new_tokens=8), ignore_progress)
    assert [answer.batch for answer in answers] == [1 if loaded.tested.name in FORGETFUL else 3] * 3
    for messages, answer in zip(questions, answers, strict=True):
        assert list(answer.said.tokens) == alone(loaded, messages)


def test_several_questions_about_different_videos_at_once(loaded: Loaded) -> None:
    """Of which the model has read the videos before."""
    questions = [loaded.messages([fresh()], words) for words in ("What moves?", "Is it red?", "Left?")]
    for messages in questions:
        ask(loaded, messages)
    answers = loaded.ours.generate_many(questions, GenerationOptions(max_new_tokens=8), ignore_progress)
    assert [answer.batch for answer in answers] == [1 if loaded.tested.name in FORGETFUL else 3] * 3
    for messages, answer in zip(questions, answers, strict=True):
        assert list(answer.said.tokens) == alone(loaded, messages)


def test_choices(loaded: Loaded) -> None:
    shown = [fresh()]
    options = GenerationOptions(choices=("yes", "no"))
    messages = loaded.messages(shown)
    scores = [loaded.ours.generate(messages, options, ignore_progress).said.choices for _ in range(2)]
    for one, other in zip(*scores, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
