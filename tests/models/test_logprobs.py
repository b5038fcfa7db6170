"""How likely each token was, as plain Transformers finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from video_tool import Settings, TokenLogprob, VideoQA
from video_tool.builtin import CHECKPOINT, DEMO_VIDEO
from video_tool.frames import Media, read_video
from video_tool.model_options import ModelOptions
from video_tool.models.transformers import TransformersModel
from video_tool.progress import ignore_progress
from video_tool.prompt import place_media
from video_tool.question import GenerationOptions, Sampling

SETTINGS = Settings(num_frames=2, allowed_roots=(DEMO_VIDEO.parent,))
QUESTION = "What happens in the video?"


class SideBySide:
    """One question to our model, and to Transformers alone with the same checkpoint."""

    def __init__(self, checkpoint: Path) -> None:
        self.ours = TransformersModel(checkpoint, ModelOptions(device="cpu", dtype="float32", attention="eager"))
        self.plain = LlavaForConditionalGeneration.from_pretrained(
            checkpoint, dtype=torch.float32, attn_implementation="eager"
        )
        media = Media((read_video(DEMO_VIDEO, Sampling(num_frames=2), SETTINGS),))
        self.messages = (place_media(QUESTION, media),)
        self.inputs = self.ours.preprocessor.encode(self.ours.preprocessor.prompt(self.messages))

    def said(self, **options: Any) -> tuple[list[int], tuple[TokenLogprob, ...]]:
        asked = GenerationOptions(logprobs=True, **options)
        said = self.ours.generate(self.messages, asked, ignore_progress).said
        return list(said.tokens), said.logprobs

    def expected(self, tokens: list[int]) -> torch.Tensor:
        """Log-probabilities (tokens, vocabulary) at each place of an answer, in one pass over all of it."""
        ids = torch.cat([self.inputs["input_ids"], torch.tensor([tokens])], dim=1)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": self.inputs["pixel_values"]}
        with torch.inference_mode():
            logits = self.plain(**given).logits[0]
        return logits[-len(tokens) - 1 : -1].float().log_softmax(-1)


@pytest.fixture(scope="module")
def both(checkpoint: Path) -> SideBySide:
    return SideBySide(checkpoint)


def places(logprobs: tuple[TokenLogprob, ...], expected: torch.Tensor) -> Iterator[tuple[TokenLogprob, torch.Tensor]]:
    assert len(logprobs) == len(expected)
    return zip(logprobs, expected, strict=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 2.0, "seed": 1},
        {"temperature": 0.5, "top_k": 5, "top_p": 0.9, "seed": 2, "repetition_penalty": 1.5},
        {"response_format": {"type": "object"}, "temperature": 3.0, "seed": 3},
    ],
    ids=["greedy", "drawn", "penalised", "structured"],
)
def test_they_are_the_models_own_whatever_the_options(both: SideBySide, options: dict[str, Any]) -> None:
    tokens, logprobs = both.said(max_new_tokens=30, top_logprobs=4, **options)
    assert len(tokens) > 1
    for number, (place, expected) in zip(tokens, places(logprobs, both.expected(tokens)), strict=True):
        assert place.logprob == pytest.approx(float(expected[number]), abs=1e-3)
        likeliest = expected.topk(4)
        assert [top.logprob for top in place.top_logprobs] == pytest.approx(likeliest.values.tolist(), abs=1e-3)
        assert max(place.top_logprobs, key=lambda top: top.logprob) == place.top_logprobs[0]


def test_they_are_those_that_generate_hands_out(both: SideBySide) -> None:
    tokens, logprobs = both.said(max_new_tokens=20)
    out = both.plain.generate(
        **both.inputs, max_new_tokens=20, do_sample=False, return_dict_in_generate=True, output_logits=True
    )
    assert out.sequences[0, both.inputs["input_ids"].shape[1] :].tolist() == tokens
    steps = torch.stack(out.logits)[:, 0].log_softmax(-1)
    for number, (place, expected) in zip(tokens, places(logprobs, steps), strict=True):
        assert place.logprob == pytest.approx(float(expected[number]), abs=1e-4)
        assert place.top_logprobs == ()


def test_greedy_answers_take_the_likeliest(both: SideBySide) -> None:
    for place in both.said(max_new_tokens=20, top_logprobs=1)[1]:
        assert place.top_logprobs[0].model_dump() == place.model_dump(exclude={"top_logprobs"})


def test_their_bytes_make_up_the_answer(checkpoint: Path) -> None:
    qa = VideoQA(checkpoint, device="cpu", settings=SETTINGS)
    answer = qa.ask(QUESTION, videos=[DEMO_VIDEO], logprobs=True, temperature=9.0, seed=5, max_new_tokens=60)
    spelled = b"".join(bytes(place.bytes) for place in answer.logprobs if place.bytes is not None)
    assert spelled.decode(errors="replace").strip() == answer.text
    assert len(answer.logprobs) == answer.usage.new_tokens


def test_the_builtin_model_is_sure_of_itself() -> None:
    qa = VideoQA(CHECKPOINT, device="cpu", settings=Settings(num_frames=6, allowed_roots=(DEMO_VIDEO.parent,)))
    plain = qa.ask(QUESTION, videos=[DEMO_VIDEO])
    answer = qa.ask(QUESTION, videos=[DEMO_VIDEO], logprobs=True, top_logprobs=20)
    assert (answer.text, answer.usage, plain.logprobs) == (plain.text, plain.usage, ())
    assert (answer.logprobs[-1].token, answer.logprobs[-1].bytes) == ("<|im_end|>", None)
    assert [len(place.top_logprobs) for place in answer.logprobs] == [20] * answer.usage.new_tokens
    # as sure as where the same words are given as a choice
    (chosen, _) = qa.ask(QUESTION, videos=[DEMO_VIDEO], choices=[answer.text, "No."]).choices
    assert sum(place.logprob for place in answer.logprobs) == pytest.approx(chosen.log_probability, abs=1e-3)
