"""Follow-up questions about the same videos and images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from video_tool.answer import VideoAnswer
from video_tool.frames import Media
from video_tool.prompt import Message, place_media
from video_tool.question import GenerationOptions, Sampling, VideoQuestion, refuse_wrong_types

if TYPE_CHECKING:
    from video_tool.engine import VideoQA


class Conversation:
    """Turns about one set of videos and images; made by `VideoQA.conversation`.

    A question that fails leaves no trace: it can be asked again, or another. One thread at a time.
    """

    def __init__(self, qa: VideoQA, videos: tuple[Any, ...], images: tuple[Any, ...], sampling: Sampling) -> None:
        self._qa = qa
        self._videos, self._images, self._sampling = videos, images, sampling
        self._media: Media | None = None
        self.messages: tuple[Message, ...] = ()

    def ask(self, question: str, *, max_new_tokens: int = 100, temperature: float = 0.0) -> VideoAnswer:
        """Asks the next question.

        Args:
            question: the first one may hold `<video>` and `<image>` markers, as for `VideoQA.ask`.
            max_new_tokens: most tokens of the answer.
            temperature: 0 always takes the likeliest token.

        Raises:
            VideoToolError: as `VideoQA.ask` does.
        """
        began = time.perf_counter()
        with refuse_wrong_types():
            generation = GenerationOptions(max_new_tokens=max_new_tokens, temperature=temperature)
            asked = VideoQuestion(
                question=question,
                videos=self._videos,
                images=self._images,
                sampling=self._sampling,
                generation=generation,
            )
        media = self._qa.read(asked) if self._media is None else self._media
        self._media = media.kept()
        message = place_media(question, media if not self.messages else Media())
        messages = (*self.messages, message)
        answer = self._qa.reply(messages, media, asked.generation, began)
        self.messages = (*messages, Message("assistant", (answer.text,)))
        return answer
