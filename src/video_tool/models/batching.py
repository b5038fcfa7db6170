"""Several questions answered at once, on what their prompts begin with in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from video_tool.models.listening import Listener
from video_tool.models.prefilling import Prefill
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch

_ALONE: dict[str, Any] = {
    "choices": (),
    "logprobs": False,
    "repetition_penalty": None,
    "response_format": None,
    "temperature": 0.0,
}
"""What can be answered in a batch as it would be alone; with other values, tokens are drawn, counted or held to a
schema one answer at a time."""

_LOOKING_BACK = {"no_repeat_ngram_size": 0, "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0}
"""What checkpoints may ask for that would count the tokens that fill up a batch among the answer's."""


def batches(options: GenerationOptions, model: Any) -> bool:
    """Whether a batch gives the answers that the questions would have one by one."""
    config = model.generation_config
    return all(getattr(options, name) == value for name, value in _ALONE.items()) and all(
        getattr(config, name, None) in (None, value) for name, value in _LOOKING_BACK.items()
    )


@dataclass(frozen=True)
class Row:
    """A question of a batch.

    Attributes:
        ids: (1, tokens), all of its prompt.
        position_ids: (…, 1, tokens); None where the model is not told.
    """

    ids: torch.Tensor
    position_ids: torch.Tensor | None


def shared_beginning(prefills: Sequence[Prefill]) -> int | None:
    """How many tokens all prompts begin with in common; None where that does not hold all videos and images."""
    first = prefills[0].keys
    cut = min(each.keys.cut(first.same(each.keys)) for each in prefills)
    whole = all(stop <= cut for each in prefills for _, stop in each.keys.blocks)
    return cut if whole else None


def batch_arguments(rows: Sequence[Row], cut: int, cache: Any, filler: int) -> dict[str, Any]:
    """What `generate` of Transformers is given for several prompts with a common beginning.

    What is missing to the longest is filled up behind that beginning, where nothing attends to it.

    Args:
        rows: the prompts.
        cut: tokens that they begin with in common.
        cache: holds keys and values of those, once for each row.
        filler: a token.
    """
    import torch

    longest = max(row.ids.shape[1] for row in rows)
    ids = torch.cat([_filled(row.ids, cut, longest, filler) for row in rows])
    mask = torch.cat([_filled(torch.ones_like(row.ids), cut, longest, 0) for row in rows])
    arguments: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "past_key_values": cache}
    places = [row.position_ids for row in rows if row.position_ids is not None]
    if places:
        arguments["position_ids"] = torch.cat([_filled(each, cut, longest, 0) for each in places], dim=-2)
    return arguments


def _filled(tokens: torch.Tensor, cut: int, length: int, filler: int) -> torch.Tensor:
    import torch

    missing = tokens.new_full((*tokens.shape[:-1], length - tokens.shape[-1]), filler)
    return torch.cat([tokens[..., :cut], missing, tokens[..., cut:]], dim=-1)


class BatchListener:
    """Rides along as a stopping criterion for several answers, each with a listener of its own.

    Args:
        listeners: one for each answer.
        prompt: tokens of the longest prompt.
        ends: the tokens with which the model ends an answer.

    Attributes:
        lengths: tokens of each answer; None where it did not end by itself.
    """

    def __init__(self, listeners: Sequence[Listener], prompt: int, ends: Collection[int]) -> None:
        self.lengths: list[int | None] = [None] * len(listeners)
        self._listeners, self._prompt, self._ends = listeners, prompt, ends

    @property
    def failure(self) -> BaseException | None:
        """What a callback raised, or why the work around is to stop."""
        return next((each.failure for each in self._listeners if each.failure is not None), None)

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        for number, listener in enumerate(self._listeners):
            if self.lengths[number] is None:
                told_to_end = bool(listener(ids[number : number + 1], scores)[0])
                if told_to_end or int(ids[number, -1]) in self._ends:
                    self.lengths[number] = ids.shape[1] - self._prompt
        failed = self.failure is not None
        return torch.tensor([failed or length is not None for length in self.lengths], device=ids.device)
