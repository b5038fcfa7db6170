"""Questions that know what was said before."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

from video_tool.answer import VideoAnswer
from video_tool.cancellation import run_in_thread
from video_tool.errors import ContextLengthError, QuestionError
from video_tool.prompt import Message
from video_tool.question import AskOptions, ImageInput, Sampling, TurnOptions, VideoInput, VideoQuestion
from video_tool.turn import Beginning, Exchange, Turn

if TYPE_CHECKING:
    from video_tool.engine import VideoQA


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
        self._beginning: Beginning | None = None
        self._turns: tuple[Exchange, ...] = ()
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
        turn = self._next(question, videos, images, options)
        while True:
            try:
                answer = self._qa.reply(turn)
            except ContextLengthError as error:  # of a server, which alone counts tokens
                turn = turn.shorter(error)
            else:
                self._keep(turn, answer)
                return answer

    async def aask(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[TurnOptions],
    ) -> VideoAnswer:
        """`ask`, in a thread of its own: the event loop goes on meanwhile, and cancelling the task stops the work."""
        return await run_in_thread(partial(self.ask, question, videos, images, **options))

    def stream(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[TurnOptions],
    ) -> Generator[str | VideoAnswer]:
        """The next question's answer, as `VideoQA.stream` gives it; who leaves early has not asked it."""
        turn = self._next(question, videos, images, options)
        while True:
            try:
                for piece in self._qa.reply_in_pieces(turn):
                    if not isinstance(piece, str):
                        self._keep(turn, piece)
                    yield piece
            except ContextLengthError as error:  # comes before the first piece
                turn = turn.shorter(error)
            else:
                return

    async def astream(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[TurnOptions],
    ) -> AsyncGenerator[str | VideoAnswer]:
        """`stream` for an event loop, which goes on between the pieces."""
        turn = await run_in_thread(partial(self._next, question, videos, images, options))
        while True:
            try:
                async for piece in self._qa.areply_in_pieces(turn):
                    if not isinstance(piece, str):
                        self._keep(turn, piece)
                    yield piece
            except ContextLengthError as error:  # comes before the first piece
                turn = turn.shorter(error)
            else:
                return

    def _next(
        self, question: str, videos: Sequence[VideoInput], images: Sequence[ImageInput], options: TurnOptions
    ) -> Turn:
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
        if self._beginning is None:
            return self._qa.reader().first(asked, self._about, began)
        return self._qa.reader().later(asked, self._beginning, self._turns, began)

    def _keep(self, turn: Turn, answer: VideoAnswer) -> None:
        """Remembers a turn; what was read for it costs later turns nothing."""
        said = Message("assistant", (answer.text,))
        self._beginning = turn.beginning.kept()
        self._turns = (*turn.earlier, (turn.question.kept(), said))
        self.messages = (*self._beginning.lead, *(message for exchange in self._turns for message in exchange))
