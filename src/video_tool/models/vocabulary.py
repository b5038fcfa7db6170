"""What each token of a model stands for, as bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""How SentencePiece writes a byte that belongs to no character of its vocabulary."""

_BEFORE = "a"
"""Goes before a token that is read: what stands first in a text loses the blank that it begins with."""


class Vocabulary:
    """The tokens of a tokenizer of Transformers, as they read within a text.

    Decoding tokens one by one does not tell that: half a letter comes out as U+FFFD, and blanks get lost.

    Args:
        tokenizer: any, fast or slow.

    Attributes:
        added: the tokens besides those of words: markers of turns, of the end, of images. Blanks are not among them.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._added: dict[int, Any] = tokenizer.added_tokens_decoder
        self.added = frozenset(token for token, made in self._added.items() if made.content.strip(" ▁\n\t\r"))

    def __len__(self) -> int:
        return len(self.tokenizer)

    def name(self, token: int) -> str:
        """The token for people to read; an unfinished letter is U+FFFD."""
        spelled = self.spelled(token)
        if spelled is None:
            return str(self._added[token].content) if token in self._added else ""
        return spelled.decode(errors="replace")

    def spelled(self, token: int) -> bytes | None:
        """What it adds to the text in UTF-8, of which it may begin or end amid a letter; None when it adds nothing."""
        if token in self._added:
            made = self._added[token]
            return None if made.special else str(made.content).encode()
        if not (written := self._written(token)):
            return None
        if self._byte_level is not None:
            return bytes(self._byte_level[sign] for sign in written if sign in self._byte_level)
        if self.is_byte(token):
            return bytes([int(written[3:5], 16)])
        read = str(self.tokenizer.convert_tokens_to_string([_BEFORE, written]))
        return read.removeprefix(_BEFORE).encode()

    def is_byte(self, token: int) -> bool:
        """Whether it is a byte for want of a letter, in a vocabulary of letters."""
        return self._byte_level is None and _BYTE.fullmatch(self._written(token)) is not None

    def text(self, tokens: Iterable[int]) -> str:
        """What they spell together; what is no UTF-8 is U+FFFD."""
        return b"".join(self.spelled(token) or b"" for token in tokens).decode(errors="replace")

    def _written(self, token: int) -> str:
        """As the tokenizer's file has it. Models have rows to spare, which stand for nothing."""
        return str(self.tokenizer.convert_ids_to_tokens(token) or "") if token < len(self) else ""

    @cached_property
    def _byte_level(self) -> dict[str, int] | None:
        """The sign that stands for each byte, of tokenizers that write every byte as a sign of its own."""
        decoder = getattr(getattr(self.tokenizer, "backend_tokenizer", None), "decoder", None)
        if decoder is None or not _has_part(json.loads(decoder.__getstate__()), "ByteLevel"):
            return None
        # As GPT-2 does: bytes that are printable in Latin-1 are written as themselves, the others from U+0100 on.
        # https://github.com/openai/gpt-2/blob/master/src/encoder.py, bytes_to_unicode
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in printable]
        signs = {chr(byte): byte for byte in printable}
        return signs | {chr(0x100 + place): byte for place, byte in enumerate(others)}


def _has_part(made: Any, kind: str) -> bool:
    """Whether a decoder is of this kind, or one of its parts is."""
    return made.get("type") == kind or any(_has_part(part, kind) for part in made.get("decoders", ()))
