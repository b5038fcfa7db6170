"""Structured answers: only tokens that can still become JSON of the schema are left to the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from video_tool.cancellation import check
from video_tool.errors import MissingDependencyError, QuestionError, StructuredOutputError
from video_tool.models.vocabulary import Vocabulary
from video_tool.response_format import ResponseFormat, json_schema

if TYPE_CHECKING:
    import torch

_SPELLING = '{}[]",:-0123456789'
"""What JSON can't do without. Letters may come in whole words alone."""

_COMPACT = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
"""One blank behind a comma or colon, or none: with more, small models go on and on writing blanks."""


_MOST = 100_000
"""Of `multipleOf`, for which llguidance takes 0.7 seconds and 50 MB; both grow with it."""

_LARK = """\
%llguidance {"no_forcing": true}
start: BLANK? answer
BLANK: /[ \\n]{1,2}/
answer: %json """
"""Models begin their turn with a blank, or a line's end. How words are cut into tokens is left to the model."""


def check_grammar(response_format: ResponseFormat) -> None:
    """Refuses a schema that could not be enforced to the last keyword.

    Raises:
        QuestionError: the schema is invalid, can't be fulfilled, or has keywords that can't be enforced.
        MissingDependencyError: llguidance is not installed.
    """
    _grammar(response_format)


def token_index(vocabulary: Vocabulary, model: str) -> Any:
    """The vocabulary as llguidance takes it: an `LLTokenizer`, which takes a second to make and serves any schema.

    Args:
        vocabulary: the tokens.
        model: what errors call it.

    Raises:
        StructuredOutputError: there are no tokens for signs that JSON is made of.
        MissingDependencyError: llguidance is not installed.
    """
    llguidance = _llguidance()
    spelling = _Spelling(vocabulary)
    check()
    missing = [sign for sign in _SPELLING if sign.encode() not in spelling.tokens]
    if missing:
        raise StructuredOutputError(
            f"the tokenizer of {model} can't spell JSON: it has no {' '.join(missing)}",
            hint="Ask without response_format, with choices for instance, or ask another model.",
        )
    return llguidance.LLTokenizer(spelling)


class Constraint:
    """Holds one answer to a schema, as a logits processor of Transformers that is told what each token was.

    Raises:
        QuestionError: as `check_grammar` does.
        StructuredOutputError: the tokenizer can't spell what the schema asks for, or the schema is too large.

    Args:
        response_format: what the answer has to fit.
        vocabulary: the model's tokens.
        index: the same, of `token_index`.
        ends: the tokens with which the model ends an answer.
    """

    def __init__(
        self, response_format: ResponseFormat, vocabulary: Vocabulary, index: Any, ends: Sequence[int]
    ) -> None:
        self._matcher = _llguidance().LLMatcher(index, _grammar(response_format), log_level=0)
        self._vocabulary, self._ends = vocabulary, list(ends)
        self._refuse_error()

    @property
    def complete(self) -> bool:
        """Whether the JSON is whole, and nothing may follow."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    def __call__(self, _ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores (1, vocabulary), with minus infinity for tokens that the schema does not allow here."""
        import torch

        if self.complete:
            return scores  # Transformers may look a token further than the end
        allowed = torch.zeros(scores.shape[-1], dtype=torch.bool)
        # a byte for each token, and one more for the end that the index has of its own
        mask = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)[:-1]
        self._refuse_error()
        count = min(len(mask), len(allowed))
        allowed[:count] = mask[:count] > 0
        if self._matcher.is_accepting():
            allowed[self._ends] = True
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))

    def accept(self, token: int) -> None:
        """Takes note of the token that was chosen."""
        if not self.complete and token not in self._ends:
            self._matcher.consume_token(token)
            self._refuse_error()

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens spell, letter by letter: decoding for people takes blanks out."""
        return self._vocabulary.text(tokens)

    def _refuse_error(self) -> None:
        if not self._matcher.is_error():
            return
        reason = _reason(self._matcher.get_error())
        if reason == "NoExtensionBias":
            raise StructuredOutputError(
                "the model's tokenizer can't spell what the schema asks for",
                hint="Use other words in the schema, or ask another model.",
            )
        raise StructuredOutputError(f"the schema can't be enforced: {reason}", hint="Ask for less in one schema.")


class _Spelling:
    """What `LLTokenizer` wants to know of a tokenizer: bytes for each token.

    Its own reading of tokenizer.json knows byte-level BPE and SentencePiece alone, and leaves added tokens in.
    """

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tokens = [
            b"" if token in vocabulary.added else vocabulary.spelled(token) or b"" for token in range(len(vocabulary))
        ]
        letters = {spelled for token, spelled in enumerate(self.tokens) if not vocabulary.is_byte(token)}
        for token, spelled in enumerate(self.tokens):
            if spelled in letters and vocabulary.is_byte(token):
                self.tokens[token] = b""  # a byte where there is a letter is not what the model would say
        # the end is the constraint's business: a model may have none, or several
        self.eos_token_id = len(self.tokens)
        self.tokens.append(b"end")
        self.special_token_ids = [self.eos_token_id]


def _grammar(response_format: ResponseFormat) -> str:
    """What llguidance is to enforce."""
    matcher = _llguidance().LLMatcher
    schema = json_schema(response_format) | {"x-guidance": _COMPACT}
    grammar = str(matcher.grammar_from_lark(_LARK + json.dumps(schema)))
    error = matcher.validate_grammar(grammar)
    if error:
        raise QuestionError(
            f"response_format can't be enforced: {_reason(error)}",
            hint="Leave that out of the schema, and check it once the answer is there.",
        )
    _refuse_slow(schema)
    return grammar


def _refuse_slow(schema: Any) -> None:
    """Refuses the one keyword whose cost no limit of llguidance holds: it counts up to the number."""
    if isinstance(schema, Mapping):
        number = schema.get("multipleOf")
        if isinstance(number, int | float) and int("".join(map(str, Decimal(str(number)).as_tuple().digits))) > _MOST:
            raise QuestionError(
                f"response_format can't be enforced: multipleOf is {number}",
                hint=f"Use one of up to {_MOST:,} (for decimals, without the point), or check the answer for it.",
            )
    for inner in schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ():
        _refuse_slow(inner)


def _reason(error: str) -> str:
    """The first line of what llguidance says; the state of its parser follows."""
    return next((line.strip() for line in error.splitlines() if line.strip()), "no reason given")[:300]


def _llguidance() -> Any:
    try:
        import llguidance
    except ImportError as error:
        raise MissingDependencyError("llguidance", install="video-tool[structured]") from error
    return llguidance
