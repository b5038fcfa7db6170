"""Choosing among given answers: each is scored by how likely the model is to say it and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

from video_tool.answer import ChoiceScore
from video_tool.cancellation import check
from video_tool.prompt import plain_words

if TYPE_CHECKING:
    import torch


def closing_tokens(model: Any) -> list[int]:
    """The tokens with which the model ends an answer."""
    ends = model.generation_config.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends or [])


def longest_choice(tokenizer: Any, choices: Sequence[str]) -> int:
    """The most tokens that one of the choices may take, with what stands before and behind it."""
    words = (f"\n{plain_words(choice, tokenizer)}" for choice in choices)
    return max(len(tokenizer.encode(each, add_special_tokens=False)) for each in words) + 1


def score_choices(model: Any, tokenizer: Any, inputs: Any, choices: Sequence[str]) -> tuple[ChoiceScore, ...]:
    """How likely each choice is as the whole answer: the sum of its tokens' log-probabilities, with the closing one's.

    The prompt goes through the model once for each choice, and once more to see with what blank its answers begin.

    Args:
        model: of Transformers, on its device.
        tokenizer: the model's.
        inputs: what the model takes for the prompt: `input_ids` (1, tokens) and the rest.
        choices: their words.
    """
    ends = closing_tokens(model)
    likeliest = int(_last_logits(model, inputs, 1)[0].argmax())
    begins = tokenizer.decode([likeliest], skip_special_tokens=True)
    blank = begins[: len(begins) - len(begins.lstrip())]
    scores: list[ChoiceScore] = []
    for choice in choices:
        check()
        said = tokenizer.encode(f"{blank}{plain_words(choice, tokenizer)}", add_special_tokens=False)
        logits = _last_logits(model, _followed_by(inputs, said), len(said) + 1).float().log_softmax(-1)
        total = sum(float(logits[place, token]) for place, token in enumerate(said))
        if ends:
            total += float(logits[len(said), ends].logsumexp(0))
        scores.append(ChoiceScore(text=choice, log_probability=total, tokens=len(said) + bool(ends)))
    return tuple(scores)


def _last_logits(model: Any, inputs: Any, count: int) -> torch.Tensor:
    """Of the last tokens: (count, vocabulary). Where the model can, those of the others are not made at all."""
    kept = {"logits_to_keep": count} if "logits_to_keep" in signature(model.forward).parameters else {}
    last: torch.Tensor = model(**inputs, **kept, use_cache=False).logits[0, -count:]
    return last


def _followed_by(inputs: Any, tokens: Sequence[int]) -> dict[str, torch.Tensor]:
    """The inputs with tokens behind the prompt; what marks each token marks these as text."""
    import torch

    ids: torch.Tensor = inputs["input_ids"]
    more = ids.new_tensor([list(tokens)])
    behind = {"input_ids": more, "attention_mask": torch.ones_like(more)}
    return {
        name: torch.cat([value, behind.get(name, torch.zeros_like(more)).to(value.dtype)], dim=1)
        if getattr(value, "shape", None) == ids.shape
        else value
        for name, value in inputs.items()
    }
