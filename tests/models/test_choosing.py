"""The likeliest of given answers, as likely as Transformers finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration

from video_tool import FrameSequence, Settings, VideoAnswer, VideoQA
from video_tool.builtin import CHECKPOINT, DEMO_VIDEO
from video_tool.errors import ContextLengthError, QuestionError
from video_tool.frames import Media, read_video
from video_tool.model_options import ModelOptions
from video_tool.models.transformers import TransformersModel
from video_tool.prompt import place_media
from video_tool.question import Sampling

SETTINGS = Settings(num_frames=6, allowed_roots=(DEMO_VIDEO.parent,))
QUESTION = "What happens in the video?"


@pytest.fixture(scope="module")
def qa() -> VideoQA:
    return VideoQA("builtin", device="cpu", settings=SETTINGS)


def asked(qa: VideoQA, *choices: str, **options: Any) -> VideoAnswer:
    return qa.ask(QUESTION, videos=[DEMO_VIDEO], choices=choices, **options)


def likelihood(checkpoint: Path, question: str, said: str | None) -> tuple[str, float]:
    """What plain Transformers says greedily, or the answer that it is made to say, with its log-probability."""
    ours = TransformersModel(checkpoint, ModelOptions(device="cpu", dtype="float32", attention="eager"))
    video = read_video(DEMO_VIDEO, Sampling(num_frames=6), SETTINGS)
    inputs = ours.preprocessor.encode(ours.preprocessor.prompt((place_media(question, Media((video,))),)))
    plain = LlavaForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
    forced: list[int] = []
    if said is not None:
        forced = [
            *ours.preprocessor.processor.tokenizer.encode(said, add_special_tokens=False),
            plain.generation_config.eos_token_id,
        ]
    start = inputs["input_ids"].shape[1]
    out = plain.generate(
        **inputs,
        max_new_tokens=len(forced) or 100,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        prefix_allowed_tokens_fn=(lambda _, ids: [forced[len(ids) - start]]) if forced else None,
    )
    new = out.sequences[0, start:]
    steps = torch.stack(out.logits)[:, 0].log_softmax(-1)
    total = float(steps[torch.arange(len(new)), new].sum())
    return ours.preprocessor.processor.tokenizer.decode(new, skip_special_tokens=True).strip(), total


def test_scores_are_those_of_plain_transformers(qa: VideoQA) -> None:
    said, expected = likelihood(CHECKPOINT, QUESTION, None)
    other = "A blue square is moving up."
    answer = asked(qa, other, said)
    assert answer.text == said
    assert [score.text for score in answer.choices] == [other, said]
    assert answer.choices[1].log_probability == pytest.approx(expected, abs=1e-3)
    assert answer.choices[0].log_probability < expected - 1
    assert (answer.usage.new_tokens, answer.finish_reason) == (0, "stop")


def test_scores_of_any_answer(checkpoint: Path) -> None:
    qa = VideoQA(checkpoint, device="cpu", dtype="float32", attention="eager", settings=SETTINGS)
    answer = qa.ask("Who?", videos=[DEMO_VIDEO], choices=["yes no", "frame"])
    for score in answer.choices:
        # where answers of this model begin is for it to say, and its weights are random
        expected = [likelihood(checkpoint, "Who?", f"{blank}{score.text}")[1] for blank in ("", " ", "\n")]
        assert any(score.log_probability == pytest.approx(each, abs=1e-3) for each in expected)


def test_choosing_agrees_with_asking(qa: VideoQA) -> None:
    colours = [f"It is {colour}." for colour in ("red", "green", "blue", "yellow", "purple", "white")]
    said = qa.ask("What colour is it?", videos=[DEMO_VIDEO]).text
    answer = qa.ask("What colour is it?", videos=[DEMO_VIDEO], choices=colours)
    assert answer.text == said == max(answer.choices, key=lambda score: score.log_probability).text
    assert next(qa.stream("What colour is it?", videos=[DEMO_VIDEO], choices=colours)) == said


def test_a_choice_is_text_and_no_token(qa: VideoQA) -> None:
    end = "<|im_end|>"
    answer = asked(qa, end, "It is red.")
    assert answer.choices[0].tokens > 3
    assert answer.text == "It is red."


@pytest.mark.parametrize(
    "options",
    [
        {"choices": ["one"]},
        {"choices": ["one", "one"]},
        {"choices": ["one", " "]},
        {"choices": ["one", "two"], "stop": ["x"]},
        {"choices": ["one", "two"], "temperature": 1.0},
        {"choices": ["one", "two"], "max_seconds": 1.0},
        {"choices": ["one", "two"], "max_new_tokens": 5},
        {"choices": ["one", "two"], "seed": 1},
    ],
)
def test_choices_that_make_no_sense(qa: VideoQA, options: dict[str, Any]) -> None:
    with pytest.raises(QuestionError, match="choice") as caught:
        qa.ask(QUESTION, videos=[DEMO_VIDEO], **options)
    assert caught.value.hint


def test_a_choice_that_does_not_fit_the_context(qa: VideoQA) -> None:
    video = FrameSequence(np.zeros((4, 64, 64, 3), np.uint8), fps=2)
    with pytest.raises(ContextLengthError):
        qa.ask(QUESTION, videos=[video], choices=["It is red.", "red " * 5000])
