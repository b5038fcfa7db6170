"""Where each video and image goes: `<video>` and `<image>` in the question, or in front of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from video_tool.errors import PlaceholderError, QuestionError
from video_tool.frames import Frames, Media

if TYPE_CHECKING:
    from PIL.Image import Image

    Content: TypeAlias = "str | Frames | Image"

_MARKER = re.compile(r"<(video|image)>")


@dataclass(frozen=True)
class Message:
    """One side's words in a conversation: text, videos and images in reading order."""

    role: Literal["system", "user", "assistant"]
    content: tuple[Content, ...]

    @property
    def videos(self) -> tuple[Frames, ...]:
        """Those in it, in reading order."""
        return tuple(piece for piece in self.content if isinstance(piece, Frames))

    @property
    def images(self) -> tuple[Image, ...]:
        """Those in it, in reading order."""
        return tuple(piece for piece in self.content if not isinstance(piece, str | Frames))

    def without_idle_blanks(self) -> Self:
        """The same without blanks that stand before the first words, or between videos and images alone."""
        content: list[Content] = []
        for piece in self.content:
            if not isinstance(piece, str):
                content.append(piece)
            elif piece.strip():
                content.append(piece if any(isinstance(earlier, str) for earlier in content) else piece.lstrip())
        return replace(self, content=tuple(content))

    def kept(self) -> Self:
        """The same for a later turn, which no longer spends time on getting its videos."""
        return self.with_videos(Frames.kept)

    def with_videos(self, change: Callable[[Frames], Frames]) -> Self:
        """The same with other videos in their places."""
        content = (change(piece) if isinstance(piece, Frames) else piece for piece in self.content)
        return replace(self, content=tuple(content))


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
        if text:
            content.append(text)
        if number < len(markers):
            content.append(next(waiting[markers[number]]))
    return Message("user", tuple(content))
