"""Words that can't pose as tokens: what a user, a page or an earlier answer says is text and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from video_tool.errors import QuestionError


def plain_words(text: str, processor: Any, placeholders: Iterable[str] = ()) -> str:
    """The text, with a blank in every one of the tokenizer's added tokens that it spells.

    Text that spells none comes back as it is. Added tokens that are blanks only (Gemma has such) are left alone.

    Args:
        text: anybody's words.
        processor: the checkpoint's; its tokenizer is what reads them.
        placeholders: what stands for images and videos, if the tokenizer should not know.

    Raises:
        QuestionError: the tokenizer reads a token out of it all the same.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    added = {token: number for token, number in tokenizer.get_added_vocab().items() if token.strip(" ▁\n\t\r")}
    tokens = sorted({*added, *filter(None, placeholders)}, key=len, reverse=True)
    numbers = set(added.values()) - {tokenizer.unk_token_id}  # which words become that are not known

    def posing(words: str) -> bool:
        ids = tokenizer.encode(words, add_special_tokens=False)
        return any(number in numbers for number in ids) or any(token in words for token in tokens)

    if not posing(text):
        return text
    words = text
    while any(token in words for token in tokens):
        for token in tokens:
            words = words.replace(token, f"{token[0]} {token[1:]}" if len(token) > 1 else " ")
    if posing(words):
        raise QuestionError(
            "the text spells a token of the model, in a way that can't be told from it",
            hint="Leave signs such as <…> and […] out of it.",
        )
    return words
