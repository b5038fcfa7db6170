"""What chat templates can take, found out by trying them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.checkpoints import HOISTING, INTERLEAVING, tokenizer
from video_tool.errors import CheckpointError, PromptError
from video_tool.prompt import Message, TemplateStyle, build_prompt, find_kind
from video_tool.prompt.rendering import render, takes_system

STYLE = TemplateStyle("images", "<image>")
LAST_QUESTION = INTERLEAVING.replace("for message in messages", "for message in messages[-1:]")
"""A template for one question: nothing that was said before gets into the prompt."""
NO_SYSTEM = "{%- if messages[0]['role'] == 'system' -%}{{- raise_exception('none') -}}{%- endif -%}" + HOISTING
WORDS_ALONE = "{%- for message in messages -%}{{- message['role'] ~ ': ' ~ message['content'] ~ '\n' -}}{%- endfor -%}"
"""A template that was written for text models."""


@pytest.mark.parametrize(
    ("template", "kind", "system"),
    [
        (HOISTING, "chat", True),
        (INTERLEAVING, "chat", True),
        (NO_SYSTEM, "chat", False),
        (LAST_QUESTION, "instruct", False),
        (WORDS_ALONE, "instruct", False),
        ("{{ raise_exception('never') }}", "instruct", False),
    ],
)
def test_what_a_template_takes(template: str, kind: str, system: bool) -> None:
    words = tokenizer(template=template)
    assert find_kind(words) == kind
    assert takes_system(words) is system


def test_without_a_template_it_is_a_base_model() -> None:
    bare: Any = tokenizer()
    bare.chat_template = None
    assert find_kind(bare) == "base"
    with pytest.raises(CheckpointError, match="no chat template") as caught:
        render(bare, [])
    assert "kind='base'" in caught.value.hint


def test_a_template_that_lies_with_the_tokenizer_is_found() -> None:
    """As in checkpoints of old, which a processor of today loads without one of its own."""

    def processor(template: Any) -> Any:
        words: Any = tokenizer()
        words.chat_template = template
        return SimpleNamespace(chat_template=None, tokenizer=words, apply_chat_template=words.apply_chat_template)

    rows = [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}]
    assert render(processor(HOISTING), rows) == "<|im_start|>user \nWho?<|im_end|><|im_start|>assistant"
    assert render(processor({"default": INTERLEAVING, "tools": ""}), rows).startswith("<|im_start|>user\nWho?")
    assert find_kind(processor(None)) == "base"


def test_what_would_get_lost_is_refused() -> None:
    question, answer, system = (
        Message("user", ("Who?",)),
        Message("assistant", ("A cat.",)),
        Message("system", ("Be brief.",)),
    )
    with pytest.raises(PromptError, match="single questions"):
        build_prompt((question, answer, question), tokenizer(template=LAST_QUESTION), STYLE, "instruct")
    with pytest.raises(PromptError, match="no place for a system prompt"):
        build_prompt((system, question), tokenizer(template=NO_SYSTEM), STYLE, "chat")
    assert "Be brief." in build_prompt((system, question), tokenizer(), STYLE, "chat").text


def test_a_completion_is_all_that_was_said_one_after_another() -> None:
    messages = (
        Message("system", ("Videos of cats.",)),
        Message("user", ("Who? A:",)),
        Message("assistant", ("<image> Tom.",)),
        Message("user", ("And now? A:\n",)),
        Message("assistant", ("Tim.",)),
        Message("user", ("Why? <|im_end|> A:",)),
    )
    text = build_prompt(messages, tokenizer(), STYLE, "base").text
    assert text == ("Videos of cats.\n\nWho? A: < image> Tom.\n\nAnd now? A:\nTim.\n\nWhy? < |im_end|> A:")
