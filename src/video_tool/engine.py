"""VideoQA: from a question to an answer, one line a stage."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from video_tool.answer import FrameStamp, Timings, Usage, VideoAnswer
from video_tool.conversation import Conversation
from video_tool.errors import QuestionError
from video_tool.frames import FrameSize, Media
from video_tool.models import Generation, VideoLanguageModel
from video_tool.progress import OnProgress, Progress, ignore_progress
from video_tool.prompt import Message, build_prompt, place_media
from video_tool.question import (
    GenerationOptions,
    ImageInput,
    Sampling,
    Strategy,
    VideoInput,
    VideoQuestion,
    refuse_wrong_types,
)
from video_tool.settings import Settings


class VideoQA:
    """Asks a video-language model questions about videos and images.

    The model is loaded by the first question and kept. An instance may be shared by threads: what they
    fetch and decode runs side by side, and the model answers one question at a time.

    Args:
        model: a name on the Hugging Face hub, a checkpoint folder, or `builtin` for the small model in
            the package; by default what the settings say.
        revision: the hub's branch, tag or commit.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, …; `cuda` may spread over several cards.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        attention: `auto`, `sdpa`, `eager`, `flash_attention_2`, ….
        settings: limits and defaults; by default read from `VIDEO_TOOL_*`.
        on_progress: called with news of each stage, from the thread that asks.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        attention: str = "auto",
        settings: Settings | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> None:
        self.settings = settings or Settings()
        self.model = model or self.settings.model
        self.on_progress = on_progress
        self._revision = revision
        self._hardware = (device, dtype, attention)
        self._loaded: VideoLanguageModel | None = None
        self._lock = threading.Lock()

    def ask(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        *,
        num_frames: int | None = None,
        fps: float | None = None,
        strategy: Strategy = "uniform",
        timestamps: Sequence[float] | None = None,
        start: float | None = None,
        end: float | None = None,
        max_new_tokens: int = 100,
        temperature: float = 0.0,
    ) -> VideoAnswer:
        """Answers one question.

        Args:
            question: may hold one `<video>` or `<image>` marker for each video or image, saying where it
                goes; with none, videos come first, then images.
            videos: URLs, paths, bytes, file objects, or `FrameSequence`s.
            images: URLs, paths, bytes, file objects, PIL images or arrays (height, width, 3).
            num_frames: frames of each video; by default `settings.num_frames`.
            fps: frames per second of video instead; at most `settings.max_frames` in all.
            strategy: `uniform` spreads them evenly; `keyframes` takes the nearest ones that decode without others,
                which is quicker; `scenes` shows some of every scene, and decodes all to find them.
            timestamps: seconds; the frames shown then, of each video, and no others.
            start: seconds; nothing before is looked at.
            end: seconds; nothing from there on is looked at.
            max_new_tokens: most tokens of the answer.
            temperature: 0 always takes the likeliest token.

        Raises:
            QuestionError: the question can't be asked so.
            SourceError: a video or image can't be had.
            DecodeError: no frames come out of one.
            PromptError: question and media don't make a prompt that the model can hold.
            ModelError: the model can't be loaded or run.
        """
        with refuse_wrong_types():
            asked = VideoQuestion(
                question=question,
                videos=_several("videos", videos),
                images=_several("images", images),
                sampling=_sampling(
                    num_frames=num_frames, fps=fps, strategy=strategy, timestamps=timestamps, start=start, end=end
                ),
                generation=GenerationOptions(max_new_tokens=max_new_tokens, temperature=temperature),
            )
        return self.answer(asked)

    async def aask(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        *,
        num_frames: int | None = None,
        fps: float | None = None,
        strategy: Strategy = "uniform",
        timestamps: Sequence[float] | None = None,
        start: float | None = None,
        end: float | None = None,
        max_new_tokens: int = 100,
        temperature: float = 0.0,
    ) -> VideoAnswer:
        """`ask`, in a thread of its own: the event loop goes on meanwhile."""
        return await asyncio.to_thread(
            self.ask,
            question,
            videos,
            images,
            num_frames=num_frames,
            fps=fps,
            strategy=strategy,
            timestamps=timestamps,
            start=start,
            end=end,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
        )

    def conversation(
        self,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        *,
        num_frames: int | None = None,
        fps: float | None = None,
        strategy: Strategy = "uniform",
        timestamps: Sequence[float] | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> Conversation:
        """Several questions about the same videos and images, each knowing what was said before.

        They are fetched and read by the first question, and not again. Arguments as for `ask`.
        """
        with refuse_wrong_types():
            sampling = _sampling(
                num_frames=num_frames, fps=fps, strategy=strategy, timestamps=timestamps, start=start, end=end
            )
        return Conversation(self, _several("videos", videos), _several("images", images), sampling)

    def answer(self, question: VideoQuestion) -> VideoAnswer:
        """Answers a question that is an object already. Raises as `ask` does."""
        began = time.perf_counter()
        media = self.read(question)
        message = place_media(question.question, media)
        return self.reply((message,), media, question.generation, began)

    def read(self, question: VideoQuestion) -> Media:
        """Fetches and reads what a question is about, short of the model. Raises as `ask` does.

        Once the model is loaded, frames come in the size to which it would resize them anyway.
        """
        _check(question)
        return Media.read(question, self.settings, self.on_progress, self._frame_size)

    def reply(self, messages: Sequence[Message], media: Media, options: GenerationOptions, began: float) -> VideoAnswer:
        """The model's next words in a conversation whose media are read already.

        Args:
            messages: all turns so far, the user's last.
            media: what the messages show, for the receipt.
            options: how to generate.
            began: `time.perf_counter()` when the question came in.
        """
        _check_options(options)
        with self._lock:
            asked = time.perf_counter()
            model = self._load()
            loaded = time.perf_counter()
            prompt = build_prompt(messages, model.processor, model.style)
            built = time.perf_counter()
            generation = model.generate(prompt, options, self.on_progress)
        return _receipt(model, generation, media, began, load=loaded - asked, prompt=built - loaded)

    def _frame_size(self) -> FrameSize | None:
        # not loaded for this: a video that can't be read is told before minutes are spent on a model
        return self._loaded.frame_size if self._loaded else None

    def _load(self) -> VideoLanguageModel:
        if self._loaded is None:
            from video_tool.models.hardware import choose_hardware
            from video_tool.models.transformers import TransformersModel

            self.on_progress(Progress("load", str(self.model), 0, 1, "models"))
            self._loaded = TransformersModel(self.model, self._revision, choose_hardware(*self._hardware))
            self.on_progress(Progress("load", str(self.model), 1, 1, "models"))
        return self._loaded


def _check(question: VideoQuestion) -> None:
    """Refuses what can't be asked of any model, before anything is fetched."""
    if not question.question.strip():
        raise QuestionError("the question is empty", hint="Ask something about the videos or images.")
    if not question.videos and not question.images:
        raise QuestionError("there is no video and no image", hint="Give at least one of them.")
    _check_options(question.generation)


def _check_options(options: GenerationOptions) -> None:
    if options.max_new_tokens < 1:
        raise QuestionError(f"max_new_tokens is {options.max_new_tokens}", hint="Allow the answer 1 token or more.")
    if not 0 <= options.temperature < math.inf:
        raise QuestionError(f"temperature is {options.temperature}", hint="Give a number, 0 or more.")


def _sampling(**options: object) -> Sampling:
    return Sampling.model_validate(options)


def _several(name: str, given: object) -> tuple[object, ...]:
    """Catches the likeliest slip: one video where a list of them is asked for."""
    single = isinstance(given, str | bytes) or hasattr(given, "read") or hasattr(given, "__array_interface__")
    if single or not isinstance(given, Iterable):
        raise QuestionError(f"{name} is a single {type(given).__name__}", hint=f"Give a list: {name}=[…].")
    return tuple(given)


def _receipt(
    model: VideoLanguageModel, generation: Generation, media: Media, began: float, *, load: float, prompt: float
) -> VideoAnswer:
    return VideoAnswer(
        text=generation.text,
        frames=tuple(
            FrameStamp(video=number, index=index, timestamp=timestamp)
            for number, video in enumerate(media.videos)
            for index, timestamp in zip(video.indices, video.timestamps, strict=True)
        ),
        videos=tuple(video.info for video in media.videos),
        images=len(media.images),
        usage=Usage(
            visual_tokens=generation.visual_tokens,
            text_tokens=generation.text_tokens,
            new_tokens=generation.new_tokens,
        ),
        timings=Timings(
            fetch=sum(video.fetch_seconds for video in media.videos),
            decode=sum(video.decode_seconds for video in media.videos),
            load=load,
            prompt=prompt + generation.prompt_seconds,
            generate=generation.generate_seconds,
            total=time.perf_counter() - began,
        ),
        warnings=(*(warning for video in media.videos for warning in video.warnings), *media.warnings),
        model=model.info,
        finish_reason=generation.finish_reason,
    )
