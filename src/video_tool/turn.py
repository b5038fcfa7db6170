"""From a question to all that the model needs to answer it: fetched, counted, then read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Self

from video_tool.errors import ContextLengthError
from video_tool.frames import FetchedMedia, Frames, Media, check_sampling, fetch_media, start_decoder
from video_tool.models import InUse, LoadAhead
from video_tool.progress import OnProgress, Progress
from video_tool.prompt import Message, place_media
from video_tool.question import FrameSequence, GenerationOptions, Sampling, VideoQuestion
from video_tool.settings import Settings

Exchange = tuple[Message, Message]
"""A question with its answer."""


@dataclass(frozen=True)
class Beginning:
    """What a conversation is about, and what stays in it whatever is left out.

    Attributes:
        lead: system prompt and examples.
        media: the videos and images that it was begun with.
        warnings: what the user should know of all of them.
        sampling: how the frames of its videos were chosen.
    """

    lead: tuple[Message, ...]
    media: Media
    warnings: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)

    def kept(self) -> Self:
        """The same for a later turn, which no longer spends time on getting it."""
        return replace(self, lead=tuple(message.kept() for message in self.lead), media=self.media.kept())

    def thinned(self, error: ContextLengthError) -> Self:
        """The same with fewer frames of each video, as `fit` allows. Raises the error where that is not to be."""
        most = max((len(video.images) for video in self.media.videos), default=0)
        count = min(error.max_frames or 0, most - 1)
        if count < 1 or self.sampling.fit == "error":
            raise error
        media = replace(self.media, videos=tuple(video.thinned(count) for video in self.media.videos))
        return replace(self, media=media, warnings=(*self.warnings, _reduced_to(count)))

    def before(self, question: Message) -> Message:
        """A question with the videos and images that the conversation was begun with."""
        return replace(question, content=(*self.media.videos, *self.media.images, *question.content))


@dataclass(frozen=True)
class Turn:
    """All that the model needs to answer.

    Attributes:
        beginning: of the conversation, or of the only question.
        earlier: the turns before this one, as many as are still in it.
        question: what is asked; the first one shows what the conversation was begun with.
        options: how to generate.
        began: `time.perf_counter()` when the question came in.
        warnings: what the user should know, besides what the videos' own say.
        load_seconds: spent on loading the model for it already.
        left_out: how many turns are left out, and how many videos with them.
    """

    beginning: Beginning
    earlier: tuple[Exchange, ...]
    question: Message
    options: GenerationOptions
    began: float
    warnings: tuple[str, ...] = ()
    load_seconds: float = 0.0
    left_out: tuple[int, int] = (0, 0)

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that was said so far, the user's question last."""
        return (*self.beginning.lead, *(message for turn in self.earlier for message in turn), self.question)

    def asking(self, words: str) -> Self:
        """The same with other words. Raises as `place_media` does."""
        return replace(self, question=place_media(words, self.beginning.media))

    def kept(self) -> Self:
        """The same beside another turn, which has spent the time on getting what both are about."""
        return replace(self, beginning=self.beginning.kept(), question=self.question.kept(), load_seconds=0.0)

    def told(self) -> tuple[str, ...]:
        """All warnings, that of turns left out among them."""
        turns, videos = self.left_out
        if not turns:
            return self.warnings
        are = "is" if turns == 1 else "are"
        with_videos = f", and {videos} {'video' if videos == 1 else 'videos'} with them" if videos else ""
        text = f"the conversation has become too long for the model: {turns} of the oldest turns {are} left out"
        return (*self.warnings, text + with_videos)

    def shorter(self, error: ContextLengthError) -> Self:
        """The same without the oldest turn; what the conversation was begun with moves in front of the next.

        Args:
            error: what the model says to this one.

        Raises:
            ContextLengthError: there is no earlier turn, or nothing would be left to talk about.
        """
        if not self.earlier:
            raise error
        rest = list(self.earlier[1:])
        question = self.question
        if rest:
            rest[0] = (self.beginning.before(rest[0][0]), rest[0][1])
        else:
            question = self.beginning.before(question)
        less = replace(self, earlier=tuple(rest), question=question)
        if not any(message.videos or message.images for message in less.messages):
            raise ContextLengthError(
                error.message,
                hint="The videos would no longer be seen: begin a new conversation.",
                max_frames=error.max_frames,
            ) from error
        turns, videos = self.left_out
        return replace(less, left_out=(turns + 1, videos + self._videos() - less._videos()))

    def _videos(self) -> int:
        return sum(len(message.videos) for message in self.messages)


class TurnReader:
    """Reads what questions are about; nothing is decoded before it is known to fit into the model's context.

    Args:
        settings: ceilings and defaults.
        on_progress: told about downloads and frames.
        use_model: has the model loaded for the length of a with-block.
        load_ahead: the same for a block that does something else before.
    """

    def __init__(
        self,
        settings: Settings,
        on_progress: OnProgress,
        use_model: Callable[[], AbstractContextManager[InUse]],
        load_ahead: Callable[[], LoadAhead],
    ) -> None:
        self._settings = settings
        self._on_progress = on_progress
        self._use_model = use_model
        self._load_ahead = load_ahead

    def first(self, question: VideoQuestion, about: VideoQuestion, began: float) -> Turn:
        """The first question of a conversation, or the only one.

        Args:
            question: what is asked, and the videos and images that are new with it.
            about: what the conversation is begun with: system prompt, examples, videos and images.
            began: `time.perf_counter()` when the question came in.

        Raises:
            VideoToolError: as `VideoQA.ask` does, short of generating.
        """

        def write(media: Sequence[Media]) -> tuple[Message, ...]:
            *shown, begun, new = media
            return (*_lead(about, shown), place_media(question.question, begun + new))

        groups = [about.model_copy(update={"videos": each.videos, "images": each.images}) for each in about.examples]
        media, warnings, load = self._read([*groups, about, question], write, question.generation)
        *lead, message = write(media)
        *shown, begun, new = media
        of_beginning = tuple(warning for each in (*shown, begun) for warning in each.warnings)
        beginning = Beginning(tuple(lead), begun, of_beginning, about.sampling)
        told = (*of_beginning, *new.warnings, *warnings)
        return Turn(beginning, (), message, question.generation, began, told, load)

    def measure(
        self, question: str, fetched: FetchedMedia, samplings: Sequence[Sampling]
    ) -> list[tuple[Media, Message]]:
        """What a question would show, once for each way of choosing frames; these are black, and none is decoded.

        Raises:
            VideoToolError: as `VideoQA.ask` does, short of fetching, decoding and of the model.
        """
        for sampling in samplings:
            check_sampling(sampling, self._settings)
        measured = [fetched.measure([sampling] * len(fetched.videos)) for sampling in samplings]
        return [(media, place_media(question, media)) for media in measured]

    def later(self, question: VideoQuestion, beginning: Beginning, earlier: tuple[Exchange, ...], began: float) -> Turn:
        """A further question, after as many of the earlier turns as still fit before it.

        Args:
            question: what is asked, and the videos and images that are new with it.
            beginning: of the conversation.
            earlier: the turns so far, at least one.
            began: `time.perf_counter()` when the question came in.

        Raises:
            ContextLengthError: the question does not fit, or nothing that it could be about.
            VideoToolError: as `VideoQA.ask` does, short of generating.
        """

        def write(media: Sequence[Media]) -> tuple[Message, ...]:
            (new,) = media
            return (*beginning.lead, beginning.before(place_media(question.question, new)))

        while True:
            try:
                (new,), warnings, load = self._read([question], write, question.generation)
                break
            except ContextLengthError as error:
                beginning = beginning.thinned(error)
        message = place_media(question.question, new)
        told = (*beginning.warnings, *new.warnings, *warnings)
        turn = Turn(beginning, earlier, message, question.generation, began, told, load)
        with self._use_model() as used:
            while True:
                try:
                    used.model.check_length(turn.messages, turn.options)
                    return turn
                except ContextLengthError as error:
                    turn = turn.shorter(error)

    def _read(
        self,
        groups: Sequence[VideoQuestion],
        write: Callable[[Sequence[Media]], tuple[Message, ...]],
        options: GenerationOptions,
    ) -> tuple[list[Media], tuple[str, ...], float]:
        """The media of each group, what the user should know of their choice, and the seconds of loading the model.

        Args:
            groups: videos and images, with the sampling of the videos.
            write: makes messages of the groups' media, the least that the model would have to hold.
            options: how to generate.
        """
        for group in groups:
            check_sampling(group.sampling, self._settings)
        samplings = [[group.sampling] * len(group.videos) for group in groups]
        warnings: tuple[str, ...] = ()
        to_decode = any(not isinstance(video, FrameSequence) for group in groups for video in group.videos)
        with ExitStack() as stack:
            ahead = stack.enter_context(self._load_ahead())

            def tell(news: Progress) -> None:
                # while bytes are on their way, all that will be needed gets ready; an address that leads nowhere, or
                # that is refused, has nothing loaded, and what is at hand is measured before that has begun
                if news.stage == "download" and news.done != news.total:
                    if to_decode:
                        start_decoder(self._settings)
                    ahead.begin()
                self._on_progress(news)
                ahead.tell()

            fetched = [
                stack.enter_context(fetch_media(group.videos, group.images, self._settings, tell)) for group in groups
            ]

            def measure() -> tuple[list[Media], tuple[Message, ...]]:
                media = [each.measure(chosen) for each, chosen in zip(fetched, samplings, strict=True)]
                return media, write(media)

            # a file that is no video, and words that don't go with them, are told before minutes are spent on a model
            measured, messages = measure()
            ahead.begin()  # by a thread of its own all the same: who leaves meanwhile leaves at once
            used = stack.enter_context(ahead.in_use())
            while True:
                try:
                    used.model.check_length(messages, options)
                    break
                except ContextLengthError as error:
                    most = max((len(video.images) for media in measured for video in media.videos), default=0)
                    count = min(error.max_frames or 0, most - 1)
                    if count < 1 or any(group.sampling.fit == "error" for group in groups):
                        raise
                    samplings = [
                        [_reduced(one, count, video) for one, video in zip(chosen, media.videos, strict=True)]
                        for chosen, media in zip(samplings, measured, strict=True)
                    ]
                    warnings = (_reduced_to(count),)
                    measured, messages = measure()
            size = used.model.frame_size
            media = [each.read(chosen, lambda: size) for each, chosen in zip(fetched, samplings, strict=True)]
            return media, warnings, used.load_seconds


def _lead(about: VideoQuestion, shown: Sequence[Media]) -> tuple[Message, ...]:
    """System prompt and examples, whose media are given."""
    messages = [Message("system", (about.system,))] if about.system else []
    for example, media in zip(about.examples, shown, strict=True):
        messages += [place_media(example.question, media), Message("assistant", (example.answer,))]
    return tuple(messages)


def _reduced(sampling: Sampling, most: int, video: Frames) -> Sampling:
    """So many frames at the most of a video of which this is what the sampling gives."""
    if len(video.images) <= most:
        return sampling
    if sampling.timestamps is not None:
        asked = sampling.timestamps
        count = min(most, len(asked))
        return sampling.model_copy(update={"timestamps": tuple(asked[i * len(asked) // count] for i in range(count))})
    return sampling.model_copy(update={"num_frames": most, "fps": None})


def _reduced_to(count: int) -> str:
    return f"only {count} {'frame' if count == 1 else 'frames'} of each video fit into the model's context"
