"""Choosing among given answers: each is scored by how likely the model is to say it and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeAlias

from video_tool.answer import ChoiceScore
from video_tool.cancellation import check
from video_tool.prompt import plain_words

if TYPE_CHECKING:
    import torch

After: TypeAlias = "Callable[[Sequence[int]], torch.Tensor]"
"""What the model says behind each of an answer's tokens, given after the prompt: logits, (tokens, vocabulary)."""


def closing_tokens(model: Any) -> list[int]:
    """The tokens with which the model ends an answer."""
    ends = model.generation_config.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends or [])


def longest_choice(tokenizer: Any, choices: Sequence[str]) -> int:
    """The most tokens that one of the choices may take, with what stands before and behind it."""
    words = (f"\n{plain_words(choice, tokenizer)}" for choice in choices)
    return max(len(tokenizer.encode(each, add_special_tokens=False)) for each in words) + 1


def score_choices(
    tokenizer: Any, choices: Sequence[str], ends: Sequence[int], first: torch.Tensor, after: After
) -> tuple[ChoiceScore, ...]:
    """How likely each choice is as the whole answer: the sum of its tokens' log-probabilities, with the closing one's.

    Args:
        tokenizer: the model's.
        choices: their words.
        ends: the tokens with which the model ends an answer.
        first: the model's logits for the answer's first token, (vocabulary,).
        after: what the model makes of the tokens of an answer.
    """
    import torch

    begins = tokenizer.decode([int(first.argmax())], skip_special_tokens=True)
    blank = begins[: len(begins) - len(begins.lstrip())]
    scores: list[ChoiceScore] = []
    for choice in choices:
        check()
        said = tokenizer.encode(f"{blank}{plain_words(choice, tokenizer)}", add_special_tokens=False)
        logits = torch.cat([first[None], after(said).to(first)]).log_softmax(-1)
        total = sum(float(logits[place, token]) for place, token in enumerate(said))
        if ends:
            total += float(logits[len(said), list(ends)].logsumexp(0))
        scores.append(ChoiceScore(text=choice, log_probability=total, tokens=len(said) + bool(ends)))
    return tuple(scores)


def after_prompt(model: Any, inputs: Mapping[str, Any]) -> After:
    """For models that can't go on from a prompt more than once: it goes through the model again for each answer."""

    def after(said: Sequence[int]) -> torch.Tensor:
        return _last_logits(model, _followed_by(inputs, said), len(said))

    return after


def after_prefill(model: Any, fork: Callable[[], Any], positions: torch.Tensor | None) -> After:
    """For models that can: the prompt is through the model already.

    Args:
        model: of Transformers, on its device.
        fork: a cache that holds the prompt, to be filled once.
        positions: of the prompt's tokens, (…, 1, tokens); None where the model is not told.
    """
    import torch

    def after(said: Sequence[int]) -> torch.Tensor:
        inputs: dict[str, Any] = {"input_ids": torch.tensor([list(said)], device=model.device)}
        if positions is not None:
            steps = torch.arange(1, len(said) + 1, device=positions.device)
            inputs["position_ids"] = positions[..., -1:] + steps
        return _last_logits(model, {**inputs, "past_key_values": fork()}, len(said), use_cache=True)

    return after


def _last_logits(model: Any, inputs: Mapping[str, Any], count: int, *, use_cache: bool = False) -> torch.Tensor:
    """Of the last tokens: (count, vocabulary). Where the model can, those of the others are not made at all."""
    kept = {"logits_to_keep": count} if "logits_to_keep" in signature(model.forward).parameters else {}
    last: torch.Tensor = model(**inputs, **kept, use_cache=use_cache).logits[0, -count:]
    return last


def _followed_by(inputs: Mapping[str, Any], tokens: Sequence[int]) -> dict[str, torch.Tensor]:
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
