"""How likely each token of an answer was."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from video_tool.answer import TokenLogprob, TopLogprob
from video_tool.models.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch


class LogprobRecorder:
    """Rides along as a stopping criterion that stops nothing, and keeps of each step what was asked for.

    The probabilities are the model's own: its logits are taken as they leave it, before temperature, penalties and
    schemas change them. Of one step at a time they are kept whole.

    Args:
        vocabulary: names the tokens.
        top: how many of the likeliest tokens to keep besides the chosen one.

    Attributes:
        tokens: one for each token that was chosen so far.
    """

    def __init__(self, vocabulary: Vocabulary, top: int) -> None:
        self.tokens: list[TokenLogprob] = []
        self._vocabulary, self._top = vocabulary, top
        self._logits: torch.Tensor | None = None

    @contextmanager
    def listening(self, model: Any) -> Generator[None]:
        """Hears what the model puts out within the block."""
        hook = model.register_forward_hook(self._hear)
        try:
            yield
        finally:
            hook.remove()

    def _hear(self, _model: Any, _given: Any, output: Any) -> None:
        import torch

        # a copy: the first step's logits may be those of the whole prompt
        self._logits = output.logits[0, -1].to(torch.float32, copy=True)

    def __call__(self, ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        import torch

        if self._logits is not None:
            logprobs, self._logits = self._logits.log_softmax(-1), None
            token = int(ids[0, -1])
            top = logprobs.topk(min(self._top, len(logprobs)))
            self.tokens.append(
                TokenLogprob(
                    **self._named(token),
                    logprob=float(logprobs[token]),
                    top_logprobs=tuple(
                        TopLogprob(**self._named(each), logprob=logprob)
                        for each, logprob in zip(top.indices.tolist(), top.values.tolist(), strict=True)
                    ),
                )
            )
        return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

    def _named(self, token: int) -> dict[str, Any]:
        spelled = self._vocabulary.spelled(token)
        return {"token": self._vocabulary.name(token), "bytes": None if spelled is None else tuple(spelled)}
