"""Follow-up questions about the same videos and images."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Unpack

from video_tool.answer import VideoAnswer
from video_tool.frames import Media
from video_tool.prompt import Message, place_media
from video_tool.question import AnswerOptions, AskOptions, VideoQuestion

if TYPE_CHECKING:
    from video_tool.engine import VideoQA


class Conversation:
    """Turns about one set of videos and images; made by `VideoQA.conversation`.

    A question that fails leaves no trace: it can be asked again, or another. One thread at a time.
    """

    def __init__(self, qa: VideoQA, about: VideoQuestion) -> None:
        self._qa = qa
        self._about = about
        self._media: Media | None = None
        self.messages: tuple[Message, ...] = ()

    def ask(self, question: str, **options: Unpack[AnswerOptions]) -> VideoAnswer:
        """Asks the next question.

        Args:
            question: the first one may hold `<video>` and `<image>` markers, as for `VideoQA.ask`.
            **options: how the answer is generated, as for `VideoQA.ask`.

        Raises:
            VideoToolError: as `VideoQA.ask` does.
        """
        began = time.perf_counter()
        asked, media, messages = self._next(question, options)
        answer = self._qa.reply(messages, media, asked.generation, began)
        self._keep(messages, answer)
        return answer

    def stream(self, question: str, **options: Unpack[AnswerOptions]) -> Generator[str | VideoAnswer]:
        """The next question's answer, as `VideoQA.stream` gives it; who leaves early has not asked it."""
        began = time.perf_counter()
        asked, media, messages = self._next(question, options)
        for piece in self._qa.reply_in_pieces(messages, media, asked.generation, began):
            if not isinstance(piece, str):
                self._keep(messages, piece)
            yield piece

    def _next(self, question: str, options: AnswerOptions) -> tuple[VideoQuestion, Media, tuple[Message, ...]]:
        """The question as a whole, the media read, and all messages up to it."""
        asked = VideoQuestion.of(question, (), (), AskOptions(**options))
        about = {"videos": self._about.videos, "images": self._about.images, "sampling": self._about.sampling}
        asked = asked.model_copy(update=about)
        media = self._qa.read(asked) if self._media is None else self._media
        self._media = media.kept()
        message = place_media(question, media if not self.messages else Media())
        return asked, media, (*self.messages, message)

    def _keep(self, messages: tuple[Message, ...], answer: VideoAnswer) -> None:
        self.messages = (*messages, Message("assistant", (answer.text,)))
