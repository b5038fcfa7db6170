"""Questions that know what was said before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from video_tool.answer import VideoAnswer
from video_tool.errors import ContextLengthError, QuestionError
from video_tool.frames import Media
from video_tool.prompt import Message, place_media
from video_tool.question import (
    AskOptions,
    GenerationOptions,
    ImageInput,
    Sampling,
    TurnOptions,
    VideoInput,
    VideoQuestion,
)

if TYPE_CHECKING:
    from video_tool.engine import VideoQA


@dataclass(frozen=True)
class _Beginning:
    """What stays whatever is left out: system prompt and examples, then the videos and images of the conversation."""

    lead: tuple[Message, ...]
    media: Media
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Next:
    """A question, ready for the model.

    Attributes:
        beginning: of the conversation.
        turns: the earlier turns that still fit, each a question and its answer.
        question: this one.
        warnings: what the user should know.
        options: how to generate.
        began: `time.perf_counter()` when the question came in.
    """

    beginning: _Beginning
    turns: tuple[tuple[Message, Message], ...]
    question: Message
    warnings: tuple[str, ...]
    options: GenerationOptions
    began: float

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that the model is given."""
        return (*self.beginning.lead, *(message for turn in self.turns for message in turn), self.question)


class Conversation:
    """Turns about videos and images; made by `VideoQA.conversation`.

    Those it was begun with are shown all along. More may come with later questions; when the model can hold no more,
    the oldest turns are left out, with the videos that came with them, and the answer's warnings say so.

    A question that fails leaves no trace: it can be asked again, or another. One thread at a time.

    Attributes:
        messages: what the model was told and has said, short of turns that were left out.
    """

    def __init__(self, qa: VideoQA, about: VideoQuestion) -> None:
        self._qa = qa
        self._about = about
        self._beginning: _Beginning | None = None
        self._turns: tuple[tuple[Message, Message], ...] = ()
        self.messages: tuple[Message, ...] = ()

    def ask(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[TurnOptions],
    ) -> VideoAnswer:
        """Asks the next question.

        Args:
            question: may hold `<video>` and `<image>` markers for the videos and images that are new with it, as for
                `VideoQA.ask`; the first one's count those that the conversation was begun with, too, and first.
            videos: shown from this question on.
            images: shown from this question on.
            **options: how the answer is generated, and which frames of new videos are looked at (by default as the
                conversation was begun), as for `VideoQA.ask`.

        Raises:
            VideoToolError: as `VideoQA.ask` does.
        """
        following = self._next(question, videos, images, options)
        answer = self._qa.reply(following.messages, following.options, following.began, following.warnings)
        self._keep(following, answer)
        return answer

    async def aask(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[TurnOptions],
    ) -> VideoAnswer:
        """`ask`, in a thread of its own: the event loop goes on meanwhile."""
        return await asyncio.to_thread(self.ask, question, videos, images, **options)

    def stream(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[TurnOptions],
    ) -> Generator[str | VideoAnswer]:
        """The next question's answer, as `VideoQA.stream` gives it; who leaves early has not asked it."""
        following = self._next(question, videos, images, options)
        for piece in self._qa.reply_in_pieces(
            following.messages, following.options, following.began, following.warnings
        ):
            if not isinstance(piece, str):
                self._keep(following, piece)
            yield piece

    async def astream(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[TurnOptions],
    ) -> AsyncGenerator[str | VideoAnswer]:
        """`stream` for an event loop, which goes on between the pieces."""
        following = await asyncio.to_thread(self._next, question, videos, images, options)
        async for piece in self._qa.areply_in_pieces(
            following.messages, following.options, following.began, following.warnings
        ):
            if not isinstance(piece, str):
                self._keep(following, piece)
            yield piece

    def _next(
        self, question: str, videos: Sequence[VideoInput], images: Sequence[ImageInput], options: TurnOptions
    ) -> _Next:
        began = time.perf_counter()
        asked = VideoQuestion.of(question, videos, images, AskOptions(**options))
        if asked.sampling == Sampling():
            asked = asked.model_copy(update={"sampling": self._about.sampling})
        elif not asked.videos:
            raise QuestionError(
                "it is said which frames to look at, and no video is new with this question",
                hint="Say it where the conversation begins, or with the videos.",
            )
        self._qa.check(asked, shown_already=bool(self._turns or self._about.videos or self._about.images))
        beginning = self._beginning or self._begin()
        media = self._qa.read_media(asked.videos, asked.images, asked.sampling)
        warnings = (*beginning.warnings, *media.warnings)
        if not self._turns:
            begun = beginning.media
            media = Media((*begun.videos, *media.videos), (*begun.images, *media.images))
        self._beginning = beginning
        message = place_media(asked.question, media)
        return self._shortened(_Next(beginning, self._turns, message, warnings, asked.generation, began))

    def _begin(self) -> _Beginning:
        about = self._about
        media = self._qa.read_media(about.videos, about.images, about.sampling)
        lead, warnings = self._qa.read_lead(about)
        return _Beginning(lead, media, (*warnings, *media.warnings))

    def _shortened(self, following: _Next) -> _Next:
        """The same, without as many of the oldest turns as the model can't hold."""
        whole = following
        while following.turns:
            try:
                self._qa.check_length(following.messages, following.options)
                break
            except ContextLengthError as error:
                following = _without_the_oldest(following)
                if not any(message.videos or message.images for message in following.messages):
                    raise ContextLengthError(
                        error.message,
                        hint="The videos would no longer be seen: begin a new conversation.",
                        max_frames=error.max_frames,
                    ) from error
        dropped = len(whole.turns) - len(following.turns)
        if not dropped:
            return whole
        lost = _videos(whole) - _videos(following)
        with_videos = f", and {lost} {'video' if lost == 1 else 'videos'} with them" if lost else ""
        warning = (
            f"the conversation has become too long for the model: {dropped} of the oldest turns "
            f"{'is' if dropped == 1 else 'are'} left out{with_videos}"
        )
        return replace(following, warnings=(*following.warnings, warning))

    def _keep(self, following: _Next, answer: VideoAnswer) -> None:
        """Remembers a turn; what was read for it costs later turns nothing."""
        said = Message("assistant", (answer.text,))
        beginning = following.beginning
        self._beginning = replace(beginning, lead=tuple(message.kept() for message in beginning.lead))
        self._turns = tuple(
            (question.kept(), reply) for question, reply in (*following.turns, (following.question, said))
        )
        self.messages = (*self._beginning.lead, *(message for turn in self._turns for message in turn))


def _without_the_oldest(following: _Next) -> _Next:
    """One turn less; what the conversation was begun with moves in front of what comes next."""
    begun = following.beginning.media
    (_, *rest) = following.turns
    kept = (*(video.kept() for video in begun.videos), *begun.images)
    if rest:
        (question, answer) = rest[0]
        rest[0] = (replace(question, content=(*kept, *question.content)), answer)
        return replace(following, turns=tuple(rest))
    question = following.question
    return replace(following, turns=(), question=replace(question, content=(*kept, *question.content)))


def _videos(following: _Next) -> int:
    return sum(len(message.videos) for message in following.messages)
