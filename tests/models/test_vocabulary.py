"""What tokens spell, whatever kind of tokenizer they are of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.checkpoints import sentencepiece, tokenizer
from video_tool.builtin import CHECKPOINT
from video_tool.models.vocabulary import Vocabulary

BYTES, PIECES = tokenizer(), sentencepiece()
WORDS = AutoTokenizer.from_pretrained(CHECKPOINT)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXT)
@pytest.mark.parametrize("words", [BYTES, PIECES], ids=["byte-level", "sentencepiece"])
def test_tokens_spell_the_text_that_they_are_of(words: PreTrainedTokenizerFast, text: str) -> None:
    vocabulary = Vocabulary(words)
    spelled = vocabulary.text(words.encode(text, add_special_tokens=False))
    # SentencePiece puts a blank in front of every text
    blank = " " if words is PIECES and text else ""
    assert spelled == blank + text


def test_words_are_read_as_within_a_text() -> None:
    vocabulary = Vocabulary(WORDS)
    text = "A red circle is moving left, then growing."
    assert vocabulary.text(WORDS.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("words", [BYTES, PIECES], ids=["byte-level", "sentencepiece"])
def test_a_letter_of_several_tokens_is_whole_again(words: PreTrainedTokenizerFast) -> None:
    vocabulary = Vocabulary(words)
    parts = words.encode("🎬", add_special_tokens=False)
    assert len(parts) >= 4
    assert vocabulary.name(parts[-1]) == "\N{REPLACEMENT CHARACTER}"
    assert vocabulary.spelled(parts[-1]) == "🎬".encode()[-1:]
    assert vocabulary.text(parts).strip() == "🎬"


@pytest.mark.parametrize("words", [BYTES, PIECES, WORDS], ids=["byte-level", "sentencepiece", "words"])
def test_special_tokens_have_a_name_and_spell_nothing(words: PreTrainedTokenizerFast) -> None:
    vocabulary = Vocabulary(words)
    for token in ("<|im_end|>", "<image>"):
        number = words.convert_tokens_to_ids(token)
        assert (vocabulary.name(number), vocabulary.spelled(number)) == (token, None)
        assert number in vocabulary.added


def test_added_tokens_that_are_not_special_spell_themselves() -> None:
    words = tokenizer()
    words.add_tokens(["<think>", "    "])
    vocabulary = Vocabulary(words)
    think, blanks = words.convert_tokens_to_ids(["<think>", "    "])
    assert (vocabulary.spelled(think), vocabulary.spelled(blanks)) == (b"<think>", b"    ")
    assert think in vocabulary.added
    assert blanks not in vocabulary.added


def test_rows_to_spare_spell_nothing() -> None:
    vocabulary = Vocabulary(BYTES)
    assert (vocabulary.name(len(vocabulary)), vocabulary.spelled(len(vocabulary) + 2)) == ("", None)
