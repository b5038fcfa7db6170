"""What goes along with generating, token by token: news, text, stop strings and the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

from video_tool.answer import TokenLogprob
from video_tool.cancellation import check
from video_tool.models.base import OnText, Said
from video_tool.models.structured import Constraint
from video_tool.models.transcript import Transcript
from video_tool.progress import OnProgress, Progress
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch


class Listener:
    """Rides along as a stopping criterion, which Transformers calls for every token.

    It does not raise what the callbacks raise but stops generating and keeps it: raised from in here, it could not be
    told from an error of the model's. So it does where the work around is to stop.

    Args:
        tokenizer: turns tokens into text.
        prompt: how many tokens the prompt has.
        options: stop strings and seconds.
        model: what news call the model.
        on_progress: told how many tokens there are.
        on_text: told what each adds to the text.
        constraint: what holds the answer to a schema; the answer ends with it.

    Attributes:
        stopped: why it stopped generating; None while it did not.
        failure: what a callback raised, or why the work around is to stop.
    """

    def __init__(
        self,
        tokenizer: Any,
        prompt: int,
        options: GenerationOptions,
        model: str,
        on_progress: OnProgress,
        on_text: OnText | None,
        constraint: Constraint | None = None,
    ) -> None:
        self.stopped: Literal["stop", "time"] | None = None
        self.failure: BaseException | None = None
        self._tokenizer, self._prompt, self._options, self._model = tokenizer, prompt, options, model
        self._on_progress, self._on_text, self._constraint = on_progress, on_text, constraint
        self._transcript = Transcript(options.stop, on_text)
        self._began = time.monotonic()

    @property
    def text(self) -> str:
        """What was said so far, short of a stop string."""
        return self._transcript.text

    def __call__(self, ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        import torch

        done = ids.shape[1] - self._prompt
        try:
            check()
            if self._constraint is not None:
                self._constraint.accept(int(ids[0, -1]))
                if self._constraint.complete:
                    self.stopped = "stop"
            self._on_progress(Progress("generate", self._model, done, self._options.max_new_tokens, "tokens"))
            if self._on_text is not None or self._options.stop:
                self._read(ids)
            self._transcript.tell()
        except BaseException as error:  # noqa: BLE001 — the caller's own, raised again once generating has stopped
            self.failure = error
        seconds = self._options.max_seconds
        if self.stopped is None and seconds is not None and time.monotonic() - self._began >= seconds:
            self.stopped = "time"
        end = self.failure is not None or self.stopped is not None
        return torch.full((ids.shape[0],), end, dtype=torch.bool, device=ids.device)

    def ended(self, ids: torch.Tensor, ends: Collection[int]) -> bool:
        """Whether the answer is whole. Arguments as for `said`."""
        whole = ids.shape[1] - self._prompt >= self._options.max_new_tokens or int(ids[0, -1]) in ends
        return whole or self.stopped is not None

    def said(self, ids: torch.Tensor, ends: Collection[int], logprobs: Sequence[TokenLogprob] = ()) -> Said:
        """What was said, once nothing is generated any more; tells what was held back.

        Args:
            ids: (1, tokens), prompt and answer.
            ends: the tokens with which the model ends an answer.
            logprobs: how likely each token was.
        """
        self._read(ids)
        self._transcript.tell(whole=True)
        new = tuple(ids[0, self._prompt :].tolist())
        said_all = bool(new) and new[-1] in ends
        # Transformers may have looked a token further than the end
        return Said(
            self.text, new, "stop" if said_all else self.stopped or "length", logprobs=tuple(logprobs[: len(new)])
        )

    def _read(self, ids: torch.Tensor) -> None:
        new = ids[0, self._prompt :]
        self._transcript.read(
            str(self._tokenizer.decode(new, skip_special_tokens=True))
            if self._constraint is None
            else self._constraint.text(new.tolist())
        )
        if self._transcript.stopped:
            self.stopped = "stop"


class Pause:
    """Rides along as a stopping criterion, and has generating stop between two tokens where others want to join.

    Args:
        wanted: whether they do.

    Attributes:
        wished: whether they did.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self.wished = False
        self._wanted = wanted

    def __call__(self, ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        import torch

        self.wished = self._wanted()
        return torch.full((ids.shape[0],), self.wished, dtype=torch.bool, device=ids.device)
