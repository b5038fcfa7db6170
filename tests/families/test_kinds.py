"""Every family as a base model, in conversations and with a system prompt."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.families.loaded import QUESTION, Loaded, image, video
from video_tool.frames import Media
from video_tool.models.preprocessing import Preprocessor
from video_tool.prompt import Message, place_media
from video_tool.prompt.rendering import takes_system


def text(*words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": each} for each in words]


def test_turns_are_written_as_the_chat_template_has_it(loaded: Loaded) -> None:
    assert loaded.ours.preprocessor.kind == "chat"
    pictures = (image(), image(1))
    system = [Message("system", ("Be brief.",))] if takes_system(loaded.processor) else []
    messages = [
        *system,
        place_media(QUESTION, Media((), pictures[:1])),
        Message("assistant", ("A cat.",)),
        place_media("And here?", Media((), pictures[1:])),
    ]
    rows = [
        *({"role": message.role, "content": text("Be brief.")} for message in system),
        {"role": "user", "content": [{"type": "image", "image": pictures[0]}, *text(QUESTION)]},
        {"role": "assistant", "content": text("A cat.")},
        {"role": "user", "content": [{"type": "image", "image": pictures[1]}, *text("And here?")]},
    ]
    by_hand = loaded.processor.apply_chat_template(
        rows, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    encoded = loaded.ours.preprocessor.encode(loaded.ours.preprocessor.prompt(messages))
    assert sorted(encoded) == sorted(by_hand)
    for name in by_hand:
        assert torch.equal(encoded[name], torch.as_tensor(by_hand[name])), name


@pytest.mark.parametrize("shown", [(video(),), (image(),)], ids=["video", "image"])
def test_a_base_model_sees_what_its_chat_version_sees(loaded: Loaded, shown: tuple[Any, ...]) -> None:
    """The placeholders with what marks their begin and end, the same pixels, and the words as they are."""
    base = Preprocessor(loaded.processor, loaded.model.config, "base")
    (asked,) = loaded.messages(shown, "What moves? Answer:")
    prompt = base.prompt([asked])
    kind = "video" if loaded.tested.video and asked.videos else "image"
    count = 1 if kind == "video" or not asked.videos else len(asked.videos[0].images)
    placeholder = (loaded.tested.video if kind == "video" else loaded.tested.image).strip()
    assert prompt.text == placeholder * count + "What moves? Answer:"
    encoded, chat = base.encode(prompt), loaded.encoded(shown)
    pixels = [name for name in chat if name.startswith("pixel_values")]
    assert pixels
    for name in pixels:
        assert torch.equal(encoded[name], chat[name])
    family = base.family
    assert family.visual(encoded["input_ids"]) == family.visual(chat["input_ids"])
