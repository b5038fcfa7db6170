"""From messages to the prompt text: by the checkpoint's own chat template, or as a text to complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from video_tool.answer import ModelKind
from video_tool.errors import PlaceholderError, PromptError
from video_tool.frames import Frames
from video_tool.prompt.escaping import plain_words
from video_tool.prompt.placeholders import Message
from video_tool.prompt.rendering import render, takes_system


@dataclass(frozen=True)
class TemplateStyle:
    """How a family's prompts stand for videos.

    Attributes:
        takes: `images` — a video becomes one image placeholder a frame; `video` — it stays one video placeholder.
        image_token: what stands for one image in the text.
        video_token: what stands for one video in the text; empty for families that take images.
        around_image: what chat templates put before and behind an image's placeholder, and base models saw there, too.
        around_video: the same for a video's.
    """

    takes: Literal["images", "video"]
    image_token: str
    video_token: str = ""
    around_image: tuple[str, str] = ("", "")
    around_video: tuple[str, str] = ("", "")

    def written(self, kind: Literal["image", "video"]) -> str:
        """What stands for an image or a video in a text that no chat template writes."""
        token, (before, behind) = (
            (self.image_token, self.around_image) if kind == "image" else (self.video_token, self.around_video)
        )
        return f"{before}{token}{behind}"


@dataclass(frozen=True)
class Prompt:
    """The text with its placeholders, and what they stand for, in reading order.

    Attributes:
        text: as the tokenizer gets it, placeholders not yet multiplied into visual tokens.
        images: (height, width, 3) RGB bytes each; the frames of videos too, where a video becomes images.
        videos: the videos that stay videos.
        runs: how many images in a row are frames of one video, 1 for an image by itself; of all images.
    """

    text: str
    images: tuple[NDArray[np.uint8], ...] = field(repr=False)
    videos: tuple[Frames, ...] = ()
    runs: tuple[int, ...] = ()


def build_prompt(messages: Sequence[Message], processor: Any, style: TemplateStyle, kind: ModelKind) -> Prompt:
    """Writes a conversation, ready for the assistant's next words.

    Args:
        messages: a system prompt, if any, then user and assistant by turns, the user last.
        processor: the checkpoint's.
        style: how it stands for videos.
        kind: of a base model the prompt is all words and media one after another, an empty line before each turn.

    Raises:
        CheckpointError: the checkpoint has no chat template, or one that fails.
        PlaceholderError: the template lost or added a placeholder.
        PromptError: the template has no place for a system prompt or for earlier turns.
        QuestionError: words can't be kept from being read as tokens.
    """
    if kind != "base":
        messages = [message.without_idle_blanks() for message in messages]
    images, videos, runs = _media(messages, style)
    contents = [_items(message, processor, style) for message in messages]
    roles = [message.role for message in messages]
    if kind == "base":
        text = _completion(roles, contents, style)
    else:
        _refuse_what_gets_lost(roles, processor, kind)
        if _moves_media(processor, style, {item["type"] for content in contents for item in content} - {"text"}):
            contents = [_written_out(content, style) for content in contents]
        rows = [{"role": role, "content": items} for role, items in zip(roles, contents, strict=True)]
        text = render(processor, rows)
    for token, wanted in ((style.image_token, len(images)), (style.video_token, len(videos))):
        if token and text.count(token) != wanted:
            raise PlaceholderError(
                f"the prompt holds {text.count(token)} {token} placeholders for {wanted} images or videos",
                hint="The checkpoint's chat template is at fault: use another checkpoint.",
            )
    return Prompt(text, images, videos, runs)


def _media(
    messages: Sequence[Message], style: TemplateStyle
) -> tuple[tuple[NDArray[np.uint8], ...], tuple[Frames, ...], tuple[int, ...]]:
    images: list[NDArray[np.uint8]] = []
    runs: list[int] = []
    videos: list[Frames] = []
    for piece in (piece for message in messages for piece in message.content):
        if isinstance(piece, Frames):
            if style.takes == "video":
                videos.append(piece)
            else:
                images.extend(piece.images)
                runs.append(len(piece.images))
        elif isinstance(piece, Image.Image):
            images.append(np.asarray(piece))
            runs.append(1)
    return tuple(images), tuple(videos), tuple(runs)


def _items(message: Message, processor: Any, style: TemplateStyle) -> list[dict[str, Any]]:
    """The message in the form that chat templates read.

    Frames say which of how many they are: templates that don't care leave that aside.
    """
    items: list[dict[str, Any]] = []
    for piece in message.content:
        if isinstance(piece, str):
            words = plain_words(piece, processor, (style.image_token, style.video_token))
            items.append({"type": "text", "text": words})
        elif isinstance(piece, Frames) and style.takes == "video":
            items.append({"type": "video"})
        elif isinstance(piece, Frames):
            count = len(piece.images)
            items.extend({"type": "image", "frame": number, "frames": count} for number in range(count))
        else:
            items.append({"type": "image"})
    return items


def _moves_media(processor: Any, style: TemplateStyle, kinds: set[str]) -> bool:
    """Whether the template gathers the media of a message in one place, whatever their place in it was."""
    tokens = {"image": style.image_token, "video": style.video_token}
    probe: list[dict[str, Any]] = [{"type": "text", "text": "before"}]
    for kind in sorted(kinds):
        probe += [{"type": kind}, {"type": "text", "text": f"behind {kind}"}]
    text = render(processor, [{"role": "user", "content": probe}])
    places = [text.find(item["text"] if item["type"] == "text" else tokens[item["type"]]) for item in probe]
    return -1 in places or places != sorted(places)


def _written_out(content: list[dict[str, Any]], style: TemplateStyle) -> list[dict[str, Any]]:
    """For templates that move media: where some stand behind words, all are written into the text instead."""
    kinds = [item["type"] for item in content]
    if "text" not in kinds or kinds.index("text") == len(kinds) - 1:
        return content
    return [{"type": "text", "text": _text_of(content, style)}]


def _text_of(content: list[dict[str, Any]], style: TemplateStyle) -> str:
    return "".join(item["text"] if item["type"] == "text" else style.written(item["type"]) for item in content)


def _completion(roles: Sequence[str], contents: Sequence[list[dict[str, Any]]], style: TemplateStyle) -> str:
    """What a base model goes on with: a user's words run into the answer that follows them."""
    text = ""
    for role, content in zip(roles, contents, strict=True):
        words = _text_of(content, style)
        if role == "assistant":
            text += words if text[-1:].isspace() else f" {words}"
        else:
            text += f"\n\n{words}" if text else words
    return text


def _refuse_what_gets_lost(roles: Sequence[str], processor: Any, kind: ModelKind) -> None:
    if kind == "instruct" and "assistant" in roles:
        raise PromptError(
            "the model answers single questions: its chat template has no place for earlier turns",
            hint="Ask with VideoQA.ask, and say in the question what the model should know.",
        )
    if "system" in roles and not takes_system(processor):
        raise PromptError(
            "the model's chat template has no place for a system prompt",
            hint="Say it at the beginning of the question.",
        )
