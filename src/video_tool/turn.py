"""From a question to all that the model needs to answer it: fetched, counted, then read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Self

from video_tool.errors import ContextLengthError
from video_tool.frames import Media, check_sampling, fetch_media
from video_tool.models import InUse
from video_tool.progress import OnProgress
from video_tool.prompt import Message, place_media
from video_tool.question import GenerationOptions, Sampling, VideoQuestion
from video_tool.settings import Settings

Exchange = tuple[Message, Message]
"""A question with its answer."""


@dataclass(frozen=True)
class Turn:
    """All that the model needs to answer.

    Attributes:
        messages: all that was said so far, the user's question last.
        options: how to generate.
        began: `time.perf_counter()` when the question came in.
        warnings: what the user should know, besides what the videos' own say.
        load_seconds: spent on loading the model for it already.
    """

    messages: tuple[Message, ...]
    options: GenerationOptions
    began: float
    warnings: tuple[str, ...] = ()
    load_seconds: float = 0.0


@dataclass(frozen=True)
class Beginning:
    """What a conversation is about, and what stays in it whatever is left out.

    Attributes:
        lead: system prompt and examples.
        media: the videos and images that it was begun with.
        warnings: what the user should know of all of them.
    """

    lead: tuple[Message, ...]
    media: Media
    warnings: tuple[str, ...]

    def kept(self) -> Self:
        """The same for a later turn, which no longer spends time on getting it."""
        return replace(self, lead=tuple(message.kept() for message in self.lead), media=self.media.kept())


class TurnReader:
    """Reads what questions are about; nothing is decoded before it is known to fit into the model's context.

    Args:
        settings: ceilings and defaults.
        on_progress: told about downloads and frames.
        use_model: has the model loaded for the length of a with-block.
    """

    def __init__(
        self, settings: Settings, on_progress: OnProgress, use_model: Callable[[], AbstractContextManager[InUse]]
    ) -> None:
        self._settings = settings
        self._on_progress = on_progress
        self._use_model = use_model

    def first(self, question: VideoQuestion, about: VideoQuestion, began: float) -> tuple[Turn, Beginning]:
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
        *shown, begun, new = media
        beginning = Beginning(
            _lead(about, shown), begun, tuple(text for each in (*shown, begun) for text in each.warnings)
        )
        told = (*beginning.warnings, *new.warnings, *warnings)
        return Turn(write(media), question.generation, began, told, load), beginning

    def later(
        self, question: VideoQuestion, beginning: Beginning, turns: Sequence[Exchange], began: float
    ) -> tuple[Turn, tuple[Exchange, ...]]:
        """A further question, and the earlier turns that still fit before it.

        Args:
            question: what is asked, and the videos and images that are new with it.
            beginning: of the conversation.
            turns: the earlier ones, at least one.
            began: `time.perf_counter()` when the question came in.

        Raises:
            ContextLengthError: the question does not fit, or nothing that it could be about.
            VideoToolError: as `VideoQA.ask` does, short of generating.
        """

        def write(media: Sequence[Media]) -> tuple[Message, ...]:
            (new,) = media
            return (*beginning.lead, _begun_with(beginning, place_media(question.question, new)))

        ((new,), warnings, load) = self._read([question], write, question.generation)
        message = place_media(question.question, new)
        kept, left_out = self._that_fit(beginning, tuple(turns), message, question.generation)
        messages = _messages(beginning, kept, message)
        told = (*beginning.warnings, *new.warnings, *warnings, *left_out)
        return Turn(messages, question.generation, began, told, load), kept

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
        samplings = [group.sampling for group in groups]
        for sampling in samplings:
            check_sampling(sampling, self._settings)
        warnings: tuple[str, ...] = ()
        with ExitStack() as stack:
            fetched = [
                stack.enter_context(fetch_media(group.videos, group.images, self._settings, self._on_progress))
                for group in groups
            ]

            def measured() -> tuple[Message, ...]:
                return write([each.measure(sampling) for each, sampling in zip(fetched, samplings, strict=True)])

            messages = measured()  # a file that is no video is told before minutes are spent on a model
            used = stack.enter_context(self._use_model())
            while True:
                try:
                    used.model.check_length(messages, options)
                    break
                except ContextLengthError as error:
                    if not error.max_frames or any(sampling.fit == "error" for sampling in samplings):
                        raise
                    samplings = [_reduced(sampling, error.max_frames) for sampling in samplings]
                    warnings = (f"only {error.max_frames} frames of each video fit into the model's context",)
                    messages = measured()
            size = used.model.frame_size
            media = [each.read(sampling, lambda: size) for each, sampling in zip(fetched, samplings, strict=True)]
            return media, warnings, used.load_seconds

    def _that_fit(
        self, beginning: Beginning, turns: tuple[Exchange, ...], question: Message, options: GenerationOptions
    ) -> tuple[tuple[Exchange, ...], tuple[str, ...]]:
        """Without as many of the oldest turns as the model can't hold, and what to say of it."""
        kept = turns
        with self._use_model() as used:
            while kept:
                messages = _messages(beginning, kept, question)
                try:
                    used.model.check_length(messages, options)
                    break
                except ContextLengthError as error:
                    kept = _without_the_oldest(beginning, kept)
                    if not _shows_anything(_messages(beginning, kept, question)):
                        raise ContextLengthError(
                            error.message,
                            hint="The videos would no longer be seen: begin a new conversation.",
                            max_frames=error.max_frames,
                        ) from error
        dropped = len(turns) - len(kept)
        if not dropped:
            return kept, ()
        lost = _videos(_messages(beginning, turns, question)) - _videos(_messages(beginning, kept, question))
        with_videos = f", and {lost} {'video' if lost == 1 else 'videos'} with them" if lost else ""
        are = "is" if dropped == 1 else "are"
        told = f"the conversation has become too long for the model: {dropped} of the oldest turns {are} left out"
        return kept, (told + with_videos,)


def _lead(about: VideoQuestion, shown: Sequence[Media]) -> tuple[Message, ...]:
    """System prompt and examples, whose media are given."""
    messages = [Message("system", (about.system,))] if about.system else []
    for example, media in zip(about.examples, shown, strict=True):
        messages += [place_media(example.question, media), Message("assistant", (example.answer,))]
    return tuple(messages)


def _messages(beginning: Beginning, turns: Sequence[Exchange], question: Message) -> tuple[Message, ...]:
    last = question if turns else _begun_with(beginning, question)
    return (*beginning.lead, *(message for turn in turns for message in turn), last)


def _without_the_oldest(beginning: Beginning, turns: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    """One turn less; what the conversation was begun with moves in front of the next."""
    rest = turns[1:]
    if not rest:
        return ()
    (question, answer), *others = rest
    return ((_begun_with(beginning, question), answer), *others)


def _begun_with(beginning: Beginning, question: Message) -> Message:
    media = beginning.media
    return replace(question, content=(*media.videos, *media.images, *question.content))


def _shows_anything(messages: Sequence[Message]) -> bool:
    return any(message.videos or message.images for message in messages)


def _videos(messages: Sequence[Message]) -> int:
    return sum(len(message.videos) for message in messages)


def _reduced(sampling: Sampling, most: int) -> Sampling:
    """So many frames of each video at the most."""
    if sampling.timestamps is not None:
        asked = sampling.timestamps
        count = min(most, len(asked))
        return sampling.model_copy(update={"timestamps": tuple(asked[i * len(asked) // count] for i in range(count))})
    return sampling.model_copy(update={"num_frames": most, "fps": None})
