"""Several questions answered at once.

What a video's questions begin with in common goes through the model once; prompts that show something else go through
it one after another. Then all answers are generated together, token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from video_tool.cancellation import check
from video_tool.models.kv_caches import Beginning, picked
from video_tool.models.options import generate_arguments
from video_tool.models.prefill import Prefill
from video_tool.models.vision import Seen
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch

    from video_tool.models.encoded import EncodedQuestion, Weights
    from video_tool.models.gathering import Turn

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


_PADDING = 0.25
"""Of the places of a batch: how many may be filled up. Attention looks at them, and the memory holds them."""

_READ_AT_ONCE = 16
"""So many tokens of a prompt go through a model in less time than one token of an answer: 20 to 60 were measured on a
CPU, of small models and with the vision tower counted in; on GPUs it is more."""

_EXPECTED = 32
"""Tokens of an answer that may be reckoned with, whatever max_new_tokens allows: most end before that."""


def common_beginning(questions: Sequence[EncodedQuestion]) -> int | None:
    """How many tokens all prompts begin with in common; None where that does not hold all videos and images."""
    first = questions[0].keys
    cut = min(each.keys.cut(first.same(each.keys)) for each in questions)
    whole = all(stop <= cut for each in questions for _, stop in each.keys.blocks)
    return cut if whole else None


def go_together(question: EncodedQuestion, others: Sequence[EncodedQuestion]) -> bool:
    """Whether a question is answered sooner with others than after them, each of which could be in a batch with it.

    About the same videos it always is. About others it has to be read first, while all wait: on average all are sooner
    done when that takes less than generating the answer. And the prompts have to be about as long.
    """
    if any(common_beginning([each, question]) is not None for each in others):
        return True
    lengths = [each.ids.shape[1] for each in (*others, question)]
    if sum(lengths) < (1 - _PADDING) * max(lengths) * len(lengths):
        return False
    missing = question.weights.prefiller.missing(question.keys)
    return missing <= _READ_AT_ONCE * min(question.new_tokens, _EXPECTED)


@dataclass(frozen=True)
class Begun:
    """How far a model is with a question.

    Attributes:
        ids: (1, tokens), of the prompt and of what was said.
        known: the first of them, with their keys and values.
        position_ids: where they are, (…, 1, tokens); None where the model is not told.
    """

    ids: torch.Tensor
    known: Beginning
    position_ids: torch.Tensor | None


def begun(prefill: Prefill, ids: torch.Tensor) -> Begun:
    """How far a model is with the question of a prefill, by all tokens so far, (1, tokens)."""
    prefill.forget_media()
    return Begun(ids, Beginning(prefill.cache, ids.shape[1] - 1), _further(prefill.position_ids, ids.shape[1]))


def _further(positions: torch.Tensor | None, length: int) -> torch.Tensor | None:
    """The places of so many tokens; those that are new follow each other."""
    import torch

    if positions is None:
        return None
    steps = torch.arange(1, length - positions.shape[-1] + 1, device=positions.device)
    return torch.cat([positions, positions[..., -1:] + steps], dim=-1)


def answer_together(weights: Weights, turn: Turn) -> None:
    """Gives each question its answer, or what its asker's callbacks raised. Those are left open that can't be answered
    so.

    Args:
        weights: which all are asked.
        turn: the questions; others join it between two tokens.

    Raises:
        VideoToolError: as generating does.
    """
    import torch

    present = cast("list[EncodedQuestion]", turn.asked)
    new: Sequence[EncodedQuestion] = present
    while any(each.open for each in present):
        longest = max(each.ids.shape[1] for each in present)
        with torch.inference_mode(), weights.typed_errors(longest):
            _read(new, present)
            rows = [each for each in present if each.open and each.begun is not None]
            if not rows:
                return
            width = longest + max(each.new_tokens for each in rows)
            most = weights.caches.most_rows([_state(each).known for each in rows], width)
            if most < len(rows):  # those that share what they begin with take less
                rows = [each for each in rows if _state(each).known.cache is _state(rows[0]).known.cache]
                most = weights.caches.most_rows([_state(each).known for each in rows], width)
            paused = _generate(weights, rows[:most], turn.heard, turn.wanted if len(rows) < most else None)
        new = cast("Sequence[EncodedQuestion]", turn.joined()) if paused else ()


def _read(new: Sequence[EncodedQuestion], present: Sequence[EncodedQuestion]) -> None:
    """Has the model read what these questions begin with: once what several have in common, and nothing that is read.

    Args:
        new: those that are new.
        present: these and all others.
    """
    for question in new:
        if question.begun is not None or not question.open:
            continue
        check()
        same = [each for each in present if each.open and common_beginning([question, each]) is not None]
        source = next((each for each in same if each.begun is not None), None)
        alike = [each for each in same if each.begun is None]
        prefiller = question.weights.prefiller
        if source is None:
            cut = common_beginning(alike) or 0
            prefill = _prefilled(question)
            if prefill is None:
                return
            cache, use, seen = prefill.cache, prefiller.use(prefill), prefill.seen
        else:
            known = _state(source).known
            cut = min(known.cut, *(common_beginning([source, each]) or 0 for each in alike))
            cache, use, seen = known.cache, source.use, Seen()
        for each in alike:
            each.begin()
            places = prefiller.positions(each.words().inputs)
            each.begun = Begun(each.ids.to(each.weights.device), Beginning(cache, cut), places)
            read = source is None and each is question
            each.use = use if read or use is None else prefiller.use_of_other(use, cut)
            each.features = prefiller.use_of_features(seen if read else Seen())


def _prefilled(question: EncodedQuestion) -> Prefill | None:
    """A prompt that is through the model; None where the model does not keep enough to go on from."""
    weights = question.weights
    prefill = weights.prefiller.begin(question.prompt, question.encoded(), question.keys)
    if prefill.cache is None:
        return None
    with weights.heeding.prefill_first(prefill.passes):
        weights.model.generate(**prefill.arguments, **generate_arguments(GenerationOptions(max_new_tokens=1)))
    weights.prefiller.keep(prefill, ())
    prefill.forget_media()
    question.let_go_of_pixels()
    return None if prefill.cache is None else prefill


def _state(question: EncodedQuestion) -> Begun:
    if question.begun is None:
        raise RuntimeError("the question has not been read")
    return question.begun


def _generate(
    weights: Weights,
    rows: Sequence[EncodedQuestion],
    heard: Callable[[], None],
    wanted: Callable[[], bool] | None,
) -> bool:
    """Goes on with answers until all are whole, or others want to join; returns whether they do.

    Args:
        weights: what all are asked.
        rows: the questions.
        heard: called when one has its answer, or will have none.
        wanted: whether others want to join; None where there is no room.
    """
    import torch

    states = [_state(row) for row in rows]
    before = max(each.known.length for each in states)
    behind = max(each.ids.shape[1] - each.known.length for each in states)
    for row in rows:
        row.companions = max(row.companions, len(rows))
    arguments = batch_arguments(weights, states, before, behind)
    hearing = _Hearing(rows, states, before + behind, weights.ends, heard, wanted)
    left = max(row.new_tokens - (each.ids.shape[1] - row.ids.shape[1]) for row, each in zip(rows, states, strict=True))
    with weights.heeding.prefill_first():
        out = weights.model.generate(
            **arguments, **generate_arguments(GenerationOptions(max_new_tokens=left)), stopping_criteria=[hearing]
        )
    for number, (row, each) in enumerate(zip(rows, states, strict=True)):
        row.begun = None
        if row.open:
            ids = torch.cat([each.ids, out[number : number + 1, before + behind :]], dim=1)
            known, rest = each.known, each.ids.shape[1] - each.known.length
            parts = slice(before - known.length + known.cut, before), slice(before + behind - rest, None)
            tail = picked(arguments["past_key_values"], number, parts)
            places = _further(each.position_ids, ids.shape[1])
            row.begun = Begun(ids, Beginning(known.cache, known.cut, tail), places)
    return hearing.paused


def batch_arguments(weights: Weights, states: Sequence[Begun], before: int, behind: int) -> dict[str, Any]:
    """What `generate` of Transformers is given for several questions, of each of which the beginning is known.

    What is missing to the longest beginning is filled up in front of what is each one's own, and to the longest rest
    between the two: nothing attends to that.

    Args:
        weights: what all are asked.
        states: the questions.
        before: tokens of the longest beginning.
        behind: tokens of the longest rest.
    """
    import torch

    def filled(tokens: torch.Tensor, known: int, missing: int) -> torch.Tensor:
        front = tokens.new_full((*tokens.shape[:-1], before - known), missing)
        between = tokens.new_full((*tokens.shape[:-1], behind - (tokens.shape[-1] - known)), missing)
        return torch.cat([tokens[..., :shared], front, tokens[..., shared:known], between, tokens[..., known:]], dim=-1)

    filler = weights.tokenizer.pad_token_id or 0
    cache = weights.caches.joined([each.known for each in states])
    shared = cache.layers[0].shared_tokens
    arguments: dict[str, Any] = {
        "input_ids": torch.cat([filled(each.ids, each.known.length, filler) for each in states]),
        "attention_mask": torch.cat([filled(torch.ones_like(each.ids), each.known.length, 0) for each in states]),
        "past_key_values": cache,
    }
    places = [filled(each.position_ids, each.known.length, 0) for each in states if each.position_ids is not None]
    if places:
        arguments["position_ids"] = torch.cat(places, dim=-2)
    return arguments


class _Hearing:
    """Rides along as a stopping criterion for several answers, each with a listener of its own.

    Args:
        questions: one for each answer.
        states: how far the model is with them.
        prompt: tokens of each row that were there before.
        ends: the tokens with which the model ends an answer.
        heard: called when one has its answer, or will have none.
        wanted: whether others want to join; None where there is no room.

    Attributes:
        paused: whether it stopped for others.
    """

    def __init__(
        self,
        questions: Sequence[EncodedQuestion],
        states: Sequence[Begun],
        prompt: int,
        ends: Sequence[int],
        heard: Callable[[], None],
        wanted: Callable[[], bool] | None,
    ) -> None:
        self.paused = False
        self._questions, self._states, self._prompt, self._ends = questions, states, prompt, ends
        self._heard, self._wanted = heard, wanted

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        for number, (question, state) in enumerate(zip(self._questions, self._states, strict=True)):
            if question.open:
                said = torch.cat([state.ids, ids[number : number + 1, self._prompt :]], dim=1)
                with question.hearing:
                    if question.open:
                        question.context.run(self._hear, question, said, scores)
                if not question.open:
                    self._heard()
        still = [each.open for each in self._questions]
        self.paused = any(still) and self._wanted is not None and self._wanted()
        return torch.tensor([self.paused or not each for each in still], device=ids.device)

    def _hear(self, question: EncodedQuestion, ids: torch.Tensor, scores: Any) -> None:
        listener = question.listener()
        listener(ids, scores)
        try:
            if listener.failure is not None:
                question.failure = listener.failure
            elif listener.ended(ids, self._ends):
                question.answer = question.answered(listener.said(ids, self._ends))
        except BaseException as error:  # noqa: BLE001 — the asker's own, raised again where it waits
            question.failure = error
