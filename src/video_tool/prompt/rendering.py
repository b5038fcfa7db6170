"""A checkpoint's chat template: what it makes of messages, and what it can't take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from video_tool.answer import ModelKind
from video_tool.errors import CheckpointError

Rows = Sequence[dict[str, Any]]
"""Messages in the form that chat templates read: a role, and a list of items of text, images and videos."""

_PROBES = ("first words", "second words", "third words")


def has_template(processor: Any) -> bool:
    """Whether the checkpoint brings a chat template."""
    return bool(getattr(processor, "chat_template", None) or _borrowed(processor))


def render(processor: Any, rows: Rows) -> str:
    """The prompt text, ready for the assistant's next words.

    Raises:
        CheckpointError: the checkpoint has no chat template, or one that fails.
    """
    from jinja2 import TemplateError  # Transformers renders templates with it

    if not has_template(processor):
        raise CheckpointError(
            "the checkpoint has no chat template, so it does not say how to be asked",
            hint="Use the instruction-tuned or chat version of the model, or ask it as a base model: kind='base'.",
        )
    try:
        text: str = processor.apply_chat_template(
            rows, add_generation_prompt=True, tokenize=False, **_borrowed(processor)
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint's chat template fails: {error}",
            hint="It was not made for questions about images: use another checkpoint.",
        ) from error
    return text


def find_kind(processor: Any) -> ModelKind:
    """What the chat template can take: earlier turns (`chat`), one question (`instruct`), or there is none (`base`)."""
    if not has_template(processor):
        return "base"
    return "chat" if _keeps(processor, ("user", "assistant", "user")) else "instruct"


def takes_system(processor: Any) -> bool:
    """Whether the chat template has a place for a system prompt."""
    return _keeps(processor, ("system", "user"))


def _keeps(processor: Any, roles: Sequence[str]) -> bool:
    """Whether the words of all these roles come out of the template, in their order."""
    rows = [
        {"role": role, "content": [{"type": "text", "text": words}]}
        for role, words in zip(roles, _PROBES, strict=False)
    ]
    try:
        text = render(processor, rows)
    except CheckpointError:
        return False  # some templates refuse roles by failing
    if "'type'" in text:
        return False  # written for words alone, it has printed the list of items
    places = [text.find(words) for words in _PROBES[: len(rows)]]
    return -1 not in places and places == sorted(places)


def _borrowed(processor: Any) -> dict[str, str]:
    """The tokenizer's template, where the processor has none of its own: some checkpoints keep it there."""
    if getattr(processor, "chat_template", None):
        return {}
    template = getattr(getattr(processor, "tokenizer", None), "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    return {"chat_template": template} if template else {}
