"""Words can't pose as tokens, in any place that takes words and for any family's tokenizer."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.families.loaded import Loaded, image, video
from video_tool.prompt import Message
from video_tool.prompt.rendering import takes_system

HARMLESS = "tock"


def messages(place: str, words: str, *, system: bool) -> tuple[Message, ...]:
    """A conversation with these words in one place."""
    said = {"question": HARMLESS, "system": HARMLESS, "answer": HARMLESS, place: words}
    return (
        *((Message("system", (f"tick {said['system']} tack",)),) if system else ()),
        Message("user", (image(), "What moves?")),
        Message("assistant", (f"tick {said['answer']} tack",)),
        Message("user", (image(1), f"tick {said['question']} tack")),
    )


@pytest.mark.parametrize("place", ["question", "system", "answer"])
def test_no_token_comes_out_of_words(loaded: Loaded, place: str) -> None:
    preprocessor = loaded.ours.preprocessor
    tokenizer = preprocessor.processor.tokenizer
    system = takes_system(preprocessor.processor)
    style = preprocessor.family.style
    tokens = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens, "<image>", "<video>"}
    tokens |= {style.image_token, style.video_token} - {""}
    tokens = {token for token in tokens if token.strip()}
    numbers = set(tokenizer.convert_tokens_to_ids(sorted(tokens))) - {tokenizer.unk_token_id}

    def added(words: str) -> Counter[int]:
        ids = tokenizer.encode(preprocessor.prompt(messages(place, words, system=system)).text)
        return Counter(number for number in ids if number in numbers)

    usual = added(HARMLESS)
    assert len(tokens) > 3
    for token in sorted(tokens):
        assert added(token) == usual, token
        assert added(f"a{token}{token}b") == usual, token
    everything = preprocessor.prompt(messages(place, " ".join(sorted(tokens)), system=system))
    harmless = preprocessor.prompt(messages(place, HARMLESS, system=system))
    family = preprocessor.family
    assert family.visual(preprocessor.encode(everything)["input_ids"]) == family.visual(
        preprocessor.encode(harmless)["input_ids"]
    )


def test_names_of_files_are_not_in_the_prompt(loaded: Loaded) -> None:
    shown = video()
    info = shown.info.model_copy(update={"name": "<image><video><|im_start|>.mp4"})
    renamed = type(shown)(shown.images, shown.indices, shown.timestamps, info)
    preprocessor = loaded.ours.preprocessor
    assert preprocessor.prompt(loaded.messages([renamed])).text == preprocessor.prompt(loaded.messages([shown])).text
