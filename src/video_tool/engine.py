"""VideoQA: from a question to an answer, one line a stage."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from video_tool.answer import FrameStamp, Timings, VideoAnswer
from video_tool.conversation import Conversation
from video_tool.errors import QuestionError
from video_tool.frames import FrameSize, Media
from video_tool.models import Generation, OnText, VideoLanguageModel, check_generation
from video_tool.models.openai import OpenAIModel, RemoteOptions, VideoFormat, check_remote_generation, is_remote
from video_tool.progress import OnProgress, Progress, ignore_progress
from video_tool.prompt import Message, place_media
from video_tool.question import (
    AskOptions,
    GenerationOptions,
    ImageInput,
    SamplingOptions,
    VideoInput,
    VideoQuestion,
)
from video_tool.settings import Settings
from video_tool.streaming import TextStream


class VideoQA:
    """Asks a video-language model questions about videos and images.

    The model is loaded by the first question and kept. An instance may be shared by threads: what they
    fetch and decode runs side by side, and the model answers one question at a time, unless a server runs it.

    Args:
        model: a name on the Hugging Face hub, a checkpoint folder, `builtin` for the small model in the package, or
            `openai:NAME` for a model that a server runs; by default what the settings say.
        revision: the hub's branch, tag or commit.
        base_url: for `openai:NAME`, where the server's API begins, such as `http://127.0.0.1:8000/v1`; by default what
            the settings or OPENAI_BASE_URL say.
        api_key: the server's key; by default what OPENAI_API_KEY says. Local servers mostly want none.
        timeout: seconds that the server may be silent.
        max_retries: how often a request to the server is sent again before any of the answer has come.
        video_format: `frames` sends the server an image for each frame; `video` one part for each video, which vLLM
            takes for models that see videos.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, …; `cuda` may spread over several cards.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        attention: `auto`, `sdpa`, `eager`, `flash_attention_2`, ….
        settings: limits and defaults; by default read from `VIDEO_TOOL_*`.
        on_progress: called with news of each stage, from the thread that asks.

    Raises:
        QuestionError: an argument is for models of another kind, or makes no sense.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        attention: str = "auto",
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 600.0,
        max_retries: int = 2,
        video_format: VideoFormat = "frames",
        settings: Settings | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> None:
        self.settings = settings or Settings()
        self.model = model or self.settings.model
        self.on_progress = on_progress
        self._revision = revision
        self._hardware = (device, dtype, attention)
        self._server = RemoteOptions(base_url, api_key, timeout, max_retries, video_format)
        self._check_arguments()
        self._loaded: VideoLanguageModel | None = None
        self._lock = threading.Lock()

    def ask(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> VideoAnswer:
        """Answers one question.

        Args:
            question: may hold one `<video>` or `<image>` marker for each video or image, saying where it
                goes; with none, videos come first, then images.
            videos: URLs, paths, bytes, file objects, or `FrameSequence`s.
            images: URLs, paths, bytes, file objects, PIL images or arrays (height, width, 3).
            **options: which frames are looked at, and how the answer is generated, as `Sampling` and
                `GenerationOptions` describe them:

                - num_frames: frames of each video; by default `settings.num_frames`.
                - fps: frames per second of video instead; at most `settings.max_frames` in all.
                - strategy: `uniform` spreads them evenly; `keyframes` takes the nearest ones that decode without
                  others, which is quicker; `scenes` shows some of every scene, and decodes all to find them.
                - timestamps: seconds; the frames shown then, of each video, and no others.
                - start, end: seconds; nothing before, or from there on, is looked at.
                - choices: the likeliest of these is the answer, and `answer.choices` says how likely each was; nothing
                  is generated.
                - max_new_tokens, max_seconds: most tokens of the answer (100), most seconds of generating it.
                - stop: strings before which the answer ends.
                - temperature: 0 (the default) always takes the likeliest token; above it, tokens are drawn, with
                  top_p, top_k and seed.
                - repetition_penalty: above 1, what was said already becomes less likely.

        Raises:
            QuestionError: the question can't be asked so.
            SourceError: a video or image can't be had.
            DecodeError: no frames come out of one.
            PromptError: question and media don't make a prompt that the model can hold.
            ModelError: the model can't be loaded or run.
            TypeError: there is no such option.
        """
        return self.answer(VideoQuestion.of(question, videos, images, options))

    async def aask(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> VideoAnswer:
        """`ask`, in a thread of its own: the event loop goes on meanwhile."""
        return await asyncio.to_thread(self.ask, question, videos, images, **options)

    def stream(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> Generator[str | VideoAnswer]:
        """The answer piece by piece while it is generated, and in the end the `VideoAnswer`, whose text they make up.

        Who leaves the loop early stops generating within one token. Arguments and errors as for `ask`.
        """
        return self.answer_in_pieces(VideoQuestion.of(question, videos, images, options))

    async def astream(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[str | VideoAnswer]:
        """`stream` for an event loop, which goes on between the pieces."""
        asked = VideoQuestion.of(question, videos, images, options)
        began = time.perf_counter()
        media = await asyncio.to_thread(self.read, asked)
        load = await asyncio.to_thread(self.load)
        message = place_media(asked.question, media)
        pieces = TextStream(partial(self.reply, (message,), media, asked.generation, began, load))
        try:
            while isinstance(piece := await asyncio.to_thread(pieces.take), str):
                yield piece
            yield piece
        finally:
            await asyncio.to_thread(pieces.end)

    def conversation(
        self,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[SamplingOptions],
    ) -> Conversation:
        """Several questions about the same videos and images, each knowing what was said before.

        They are fetched and read by the first question, and not again. Arguments as for `ask`.
        """
        return Conversation(self, VideoQuestion.of("", videos, images, AskOptions(**options)))

    def answer(self, question: VideoQuestion) -> VideoAnswer:
        """Answers a question that is an object already. Raises as `ask` does."""
        began = time.perf_counter()
        media = self.read(question)
        message = place_media(question.question, media)
        return self.reply((message,), media, question.generation, began)

    def answer_in_pieces(self, question: VideoQuestion) -> Generator[str | VideoAnswer]:
        """What `stream` gives, for a question that is an object already."""
        began = time.perf_counter()
        media = self.read(question)
        message = place_media(question.question, media)
        yield from self.reply_in_pieces((message,), media, question.generation, began)

    def read(self, question: VideoQuestion) -> Media:
        """Fetches and reads what a question is about, short of the model. Raises as `ask` does.

        Once the model is loaded, frames come in the size to which it would resize them anyway.
        """
        _check(question)
        if is_remote(self.model):
            check_remote_generation(question.generation)
        return Media.read(question, self.settings, self.on_progress, self._frame_size)

    def load(self) -> float:
        """Has the model loaded, if it is not yet; returns the seconds it took. Raises `ModelError` as `ask` does."""
        asked = time.perf_counter()
        with self._lock:
            self._load()
        return time.perf_counter() - asked

    def reply(
        self,
        messages: Sequence[Message],
        media: Media,
        options: GenerationOptions,
        began: float,
        load: float = 0.0,
        on_text: OnText | None = None,
    ) -> VideoAnswer:
        """The model's next words in a conversation whose media are read already.

        Args:
            messages: all turns so far, the user's last.
            media: what the messages show, for the receipt.
            options: how to generate.
            began: `time.perf_counter()` when the question came in.
            load: seconds that were spent on loading the model for it already.
            on_text: told what each token adds to the text; what it raises ends generating.
        """
        check_generation(options)
        with self._lock:
            asked = time.perf_counter()
            model = self._load()
            load += time.perf_counter() - asked
        with model.turn:
            generation = model.generate(messages, options, self.on_progress, on_text)
        return _receipt(model, generation, media, began, load)

    def reply_in_pieces(
        self, messages: Sequence[Message], media: Media, options: GenerationOptions, began: float
    ) -> Generator[str | VideoAnswer]:
        """`reply` as `stream` gives it."""
        load = self.load()  # in this thread: who interrupts it is not kept waiting for the end
        pieces = TextStream(partial(self.reply, messages, media, options, began, load))
        try:
            while isinstance(piece := pieces.take(), str):
                yield piece
            yield piece
        finally:
            pieces.end()

    def _frame_size(self) -> FrameSize | None:
        # not loaded for this: a video that can't be read is told before minutes are spent on a model
        return self._loaded.frame_size if self._loaded else None

    def _load(self) -> VideoLanguageModel:
        if self._loaded is None:
            self.on_progress(Progress("load", str(self.model), 0, 1, "models"))
            self._loaded = self._remote_model() if is_remote(self.model) else self._local_model()
            self.on_progress(Progress("load", str(self.model), 1, 1, "models"))
        return self._loaded

    def _local_model(self) -> VideoLanguageModel:
        from video_tool.models.hardware import choose_hardware
        from video_tool.models.transformers import TransformersModel

        return TransformersModel(self.model, self._revision, choose_hardware(*self._hardware))

    def _remote_model(self) -> VideoLanguageModel:
        return OpenAIModel(str(self.model), self._server.at(self.settings.base_url))

    def _check_arguments(self) -> None:
        local = self._revision is not None or self._hardware != ("auto", "auto", "auto")
        if is_remote(self.model) and local:
            raise QuestionError(
                f"{self.model} runs on a server, which chose revision, device, dtype and attention",
                hint="Leave them out, or name a model that runs here.",
            )
        if not is_remote(self.model) and self._server != RemoteOptions():
            raise QuestionError(
                f"{self.model} runs here, and base_url, api_key, timeout, max_retries and video_format are for servers",
                hint="Name the model openai:NAME, or leave them out.",
            )


def _check(question: VideoQuestion) -> None:
    """Refuses what can't be asked of any model, before anything is fetched."""
    if not question.question.strip():
        raise QuestionError("the question is empty", hint="Ask something about the videos or images.")
    if not question.videos and not question.images:
        raise QuestionError("there is no video and no image", hint="Give at least one of them.")
    check_generation(question.generation)


def _receipt(model: VideoLanguageModel, generation: Generation, media: Media, began: float, load: float) -> VideoAnswer:
    return VideoAnswer(
        text=generation.said.text,
        frames=tuple(
            FrameStamp(video=number, index=index, timestamp=timestamp)
            for number, video in enumerate(media.videos)
            for index, timestamp in zip(video.indices, video.timestamps, strict=True)
        ),
        videos=tuple(video.info for video in media.videos),
        images=len(media.images),
        choices=generation.said.choices,
        usage=generation.usage,
        timings=Timings(
            fetch=sum(video.fetch_seconds for video in media.videos),
            decode=sum(video.decode_seconds for video in media.videos),
            load=load,
            prompt=generation.prompt_seconds,
            generate=generation.generate_seconds,
            total=time.perf_counter() - began,
        ),
        warnings=(*(warning for video in media.videos for warning in video.warnings), *media.warnings),
        model=model.info,
        finish_reason=generation.said.finish_reason,
    )
