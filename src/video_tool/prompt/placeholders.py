"""Where each video and image goes: `<video>` and `<image>` in the question, or in front of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from video_tool.errors import PlaceholderError, QuestionError
from video_tool.frames import Frames, Media

if TYPE_CHECKING:
    from PIL.Image import Image

    Content: TypeAlias = "str | Frames | Image"

_MARKER = re.compile(r"<(video|image)>")


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: text, videos and images in reading order."""

    role: Literal["user", "assistant"]
    content: tuple[Content, ...]


def place_media(question: str, media: Media) -> Message:
    """The question as a message, with every video and image in its place.

    Raises:
        QuestionError: the question has no words.
        PlaceholderError: it has markers, but not one for each video and each image.
    """
    parts = _MARKER.split(question.strip())
    texts, markers = parts[::2], parts[1::2]
    if not any(text.strip() for text in texts):
        raise QuestionError("the question is empty", hint="Ask something about the videos or images.")
    if not markers:
        return Message("user", (*media.videos, *media.images, texts[0]))
    for kind, given in (("video", media.videos), ("image", media.images)):
        if markers.count(kind) != len(given):
            raise PlaceholderError(
                f"the question has {markers.count(kind)} <{kind}> markers for {len(given)} {kind}s",
                hint=f"Put one <{kind}> for each {kind}, in their order, or no marker at all.",
            )
    waiting = {"video": iter(media.videos), "image": iter(media.images)}
    content: list[Content] = []
    for number, text in enumerate(texts):
        # blanks between words and media are the user's; those between media alone say nothing
        if text.strip():
            content.append(text if any(isinstance(piece, str) for piece in content) else text.lstrip())
        if number < len(markers):
            content.append(next(waiting[markers[number]]))
    return Message("user", tuple(content))
