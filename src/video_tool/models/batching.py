"""Several questions answered at once.

What a video's questions begin with in common goes through the model once; prompts that show something else go through
it one after another. Then all answers are generated together, token by token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from video_tool.cancellation import check
from video_tool.models.base import Generation
from video_tool.models.listening import Listener
from video_tool.models.options import generate_arguments
from video_tool.models.prefilling import Prefill
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch

    from video_tool.models.encoded import EncodedQuestion

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


_PADDING = 0.5
"""Of the places of a batch: how many may be filled up. Attention looks at them, and the memory holds them."""

_TOKENS_A_STEP = 1e9
"""How many tokens of a prompt go through a model in the time of one token of an answer, or less."""


def common_beginning(questions: Sequence[EncodedQuestion]) -> int | None:
    """How many tokens all prompts begin with in common; None where that does not hold all videos and images."""
    first = questions[0].keys
    cut = min(each.keys.cut(first.same(each.keys)) for each in questions)
    whole = all(stop <= cut for each in questions for _, stop in each.keys.blocks)
    return cut if whole else None


def go_together(question: EncodedQuestion, others: Sequence[EncodedQuestion]) -> bool:
    """Whether a question is answered sooner with others than after them, each of which could be in a batch with it.

    About the same videos it always is. About others it has to be read first, while all wait: that has to take less than
    generating the answer. And the prompts have to be about as long.
    """
    if any(common_beginning([each, question]) is not None for each in others):
        return True
    lengths = [each.ids.shape[1] for each in (*others, question)]
    if sum(lengths) < (1 - _PADDING) * max(lengths) * len(lengths):
        return False
    return question.weights.prefiller.missing(question.keys) <= _TOKENS_A_STEP * question.new_tokens


@dataclass(frozen=True)
class Row:
    """A question of a batch.

    Attributes:
        question: what is asked.
        began: the prompt that is through the model already.
        cut: how many tokens that begins with in common with this one.
        first: whether it is this one.
    """

    question: EncodedQuestion
    began: Prefill
    cut: int
    first: bool


def answer_together(questions: Sequence[EncodedQuestion], heard: Callable[[], None]) -> None:
    """Gives each question its answer, or what its asker's callbacks raised. Those are left open that can't be answered
    so, and those that nobody waits for any more.

    Args:
        questions: all in the same weights.
        heard: called when one of them has its answer, or will have none.

    Raises:
        VideoToolError: as generating does.
    """
    import torch

    weights, began = questions[0].weights, time.perf_counter()
    longest = max(each.ids.shape[1] for each in questions)
    width = longest + max(each.new_tokens for each in questions)
    listeners = {id(each): each.listener() for each in questions}
    with torch.inference_mode(), weights.typed_errors(longest):
        rows: list[Row] = []
        for alike in _alike(questions):
            begun = _begun([each for each in alike if each.open])
            for row in begun:
                if len(rows) >= weights.prefiller.most_rows(row.began, width):
                    _generate(rows, [listeners[id(each.question)] for each in rows], began, heard)
                    rows = []
                rows.append(row)
        rows = [row for row in rows if row.question.open]
        if rows:
            _generate(rows, [listeners[id(each.question)] for each in rows], began, heard)


def _alike(questions: Sequence[EncodedQuestion]) -> list[list[EncodedQuestion]]:
    """The questions by what they show."""
    groups: list[list[EncodedQuestion]] = []
    for question in questions:
        group = next((each for each in groups if common_beginning([*each, question]) is not None), None)
        if group is None:
            groups.append([question])
        else:
            group.append(question)
    return groups


def _begun(alike: Sequence[EncodedQuestion]) -> list[Row]:
    """Has the model read what questions begin with in common."""
    if not alike:
        return []
    check()
    first = alike[0]
    weights = first.weights
    cut = common_beginning(alike)
    prefill = weights.prefiller.begin(first.prompt, first.inputs(), first.keys)
    if prefill.cache is None or cut is None:
        return []
    with weights.heeding.prefill_first():
        weights.model.generate(**prefill.arguments, **generate_arguments(GenerationOptions(max_new_tokens=1)))
    weights.prefiller.keep(prefill, ())
    if prefill.cache is None:
        return []
    prefill.arguments = {}  # the pixels are not needed any more
    return [Row(each, prefill, cut, each is first) for each in alike]


def _generate(rows: Sequence[Row], listeners: Sequence[Listener], began: float, heard: Callable[[], None]) -> None:
    """Has the model answer what it has read."""
    weights = rows[0].question.weights
    arguments = batch_arguments(rows, weights.tokenizer.pad_token_id or 0)
    prompt = arguments["input_ids"].shape[1]

    def finish(number: int, ids: torch.Tensor) -> Generation:
        row = rows[number]
        said = listeners[number].said(ids, weights.ends)
        use = row.question.weights.prefiller.use(row.began)
        use = use if row.first else use.model_copy(update={"tokens": row.cut})
        question = row.question
        seconds = time.perf_counter() - began
        return Generation(said, question.usage(len(said.tokens)), question.seconds, seconds, use, len(rows))

    hearing = _Hearing([row.question for row in rows], listeners, prompt, weights.ends, finish, heard)
    most = GenerationOptions(max_new_tokens=max(row.question.new_tokens for row in rows))
    with weights.heeding.prefill_first():
        weights.model.generate(**arguments, **generate_arguments(most), stopping_criteria=[hearing])


def batch_arguments(rows: Sequence[Row], filler: int) -> dict[str, Any]:
    """What `generate` of Transformers is given for several prompts, of each of which the beginning is known.

    What is missing to the longest beginning is filled up in front, and to the longest rest between the two: nothing
    attends to that.

    Args:
        rows: the prompts; those with the same beginning follow each other.
        filler: a token.
    """
    import torch

    weights = rows[0].question.weights
    before = max(row.cut for row in rows)
    behind = max(row.question.ids.shape[1] - row.cut for row in rows)

    def filled(tokens: torch.Tensor, cut: int, missing: int) -> torch.Tensor:
        front = tokens.new_full((*tokens.shape[:-1], before - cut), missing)
        between = tokens.new_full((*tokens.shape[:-1], behind - (tokens.shape[-1] - cut)), missing)
        return torch.cat([front, tokens[..., :cut], between, tokens[..., cut:]], dim=-1)

    ids = [row.question.ids.to(weights.device) for row in rows]
    beginnings: list[tuple[Prefill, int, int]] = []
    for row in rows:
        if beginnings and beginnings[-1][0] is row.began:
            beginnings[-1] = (row.began, row.cut, beginnings[-1][2] + 1)
        else:
            beginnings.append((row.began, row.cut, 1))
    arguments: dict[str, Any] = {
        "input_ids": torch.cat([filled(each, row.cut, filler) for each, row in zip(ids, rows, strict=True)]),
        "attention_mask": torch.cat(
            [filled(torch.ones_like(each), row.cut, 0) for each, row in zip(ids, rows, strict=True)]
        ),
        "past_key_values": weights.prefiller.joined(beginnings),
    }
    places = [
        row.began.position_ids
        if row.first
        else row.question.weights.prefiller.positions(row.question.inputs(pixels=False))
        for row in rows
    ]
    if None not in places:
        parts = [filled(place, row.cut, 0) for place, row in zip(places, rows, strict=True) if place is not None]
        arguments["position_ids"] = torch.cat(parts, dim=-2)
    return arguments


class _Hearing:
    """Rides along as a stopping criterion for several answers, each with a listener of its own.

    Args:
        questions: one for each answer.
        listeners: the same; each hears its own answer alone.
        prompt: tokens of the longest prompt.
        ends: the tokens with which the model ends an answer.
        finish: makes the answer of (1, tokens) that were said to the question of this number.
        heard: called when one has its answer, or will have none.
    """

    def __init__(
        self,
        questions: Sequence[EncodedQuestion],
        listeners: Sequence[Listener],
        prompt: int,
        ends: Sequence[int],
        finish: Callable[[int, torch.Tensor], Generation],
        heard: Callable[[], None],
    ) -> None:
        self._questions, self._listeners, self._prompt, self._ends = questions, listeners, prompt, ends
        self._finish, self._heard = finish, heard

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        for number, question in enumerate(self._questions):
            if question.open:
                with question.hearing:
                    if question.open:
                        question.context.run(self._hear, number, ids[number : number + 1, self._prompt :], scores)
                if not question.open:
                    self._heard()
        return torch.tensor([not each.open for each in self._questions], device=ids.device)

    def _hear(self, number: int, said: torch.Tensor, scores: Any) -> None:
        question, listener = self._questions[number], self._listeners[number]
        told_to_end = bool(listener(said, scores)[0])
        if listener.failure is not None:
            question.failure = listener.failure
        elif told_to_end or said.shape[1] >= question.new_tokens or int(said[0, -1]) in self._ends:
            try:
                question.answer = self._finish(number, said)
            except BaseException as error:  # noqa: BLE001 — the asker's own, raised again where it waits
                question.failure = error
