"""How answers are drawn, and which options make no sense."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.checkpoints import tokenizer
from video_tool import GenerationOptions, Settings, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import QuestionError
from video_tool.models import check_generation
from video_tool.models.listening import Listener
from video_tool.progress import ignore_progress


@pytest.fixture(scope="module")
def qa() -> VideoQA:
    return VideoQA("builtin", device="cpu", settings=Settings(num_frames=6, allowed_roots=(DEMO_VIDEO.parent,)))


def said(qa: VideoQA, **options: Any) -> str:
    return qa.ask("What happens in the video?", videos=[DEMO_VIDEO], **options).text


def test_a_seed_draws_the_same_and_leaves_other_random_numbers_alone(qa: VideoQA) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    hot = [said(qa, temperature=3.0, seed=seed, max_new_tokens=20) for seed in (1, 2, 1)]
    assert torch.equal(torch.rand(3), expected)
    assert hot[0] == hot[2] != hot[1]


def test_drawing_from_one_token_is_taking_the_likeliest(qa: VideoQA) -> None:
    likeliest = said(qa)
    assert said(qa, temperature=5.0, top_k=1) == likeliest
    assert said(qa, temperature=5.0, top_p=1e-6) == likeliest
    assert said(qa, temperature=5.0, seed=3) != likeliest


def test_a_penalty_keeps_words_from_coming_again(qa: VideoQA) -> None:
    assert said(qa, repetition_penalty=50.0) != said(qa) == said(qa, repetition_penalty=1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 0},
        {"max_seconds": 0.0},
        {"max_seconds": math.inf},
        {"max_seconds": math.nan},
        {"stop": ("a", "")},
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": 1.0, "top_p": 0.0},
        {"temperature": 1.0, "top_p": 1.1},
        {"temperature": 1.0, "top_k": 0},
        {"top_p": 0.9},
        {"top_k": 5},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.inf},
        {"seed": 2**64},
        {"response_format": "json"},
        {"response_format": {"type": "object"}, "stop": ("}",)},
        {"response_format": {"type": "object"}, "choices": ("yes", "no")},
        {"logprobs": True, "choices": ("yes", "no")},
        {"top_logprobs": 1},
        {"logprobs": True, "top_logprobs": 21},
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(QuestionError) as caught:
        check_generation(GenerationOptions.model_validate(options))
    assert caught.value.hint


@pytest.mark.parametrize("text", ["naïve 👩‍🚀 in space ", "日本語", "  a\n\nb ", "plain words, no more."])
def test_letters_are_told_when_all_their_bytes_are_there(text: str) -> None:
    words = tokenizer()
    tokens = torch.tensor([words.encode(f"{text}", add_special_tokens=False)])
    pieces: list[str] = []
    listener = Listener(words, 0, GenerationOptions(), "model", ignore_progress, pieces.append)
    for count in range(1, tokens.shape[1] + 1):
        assert not listener(tokens[:, :count], None).any()
    listener.said(tokens, ())
    assert "".join(pieces) == listener.text == words.decode(tokens[0]).strip()
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)
