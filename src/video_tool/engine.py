"""VideoQA: from a question to an answer, one line a stage."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from video_tool.answer import Plan, VideoAnswer
from video_tool.asking_many import read_many, side_by_side
from video_tool.cancellation import run_in_thread
from video_tool.checking import check_options, check_question
from video_tool.conversation import Conversation
from video_tool.frames import FetchedMedia, check_sampling, fetch_media, start_decoder
from video_tool.model_options import EngineOptions, RemoteOptions, options_of
from video_tool.models import BatchModel, HeldModel, LoadAhead, OnText, VideoLanguageModel, load_model
from video_tool.planning import known_preprocessor, make_plan
from video_tool.progress import OnProgress, ignore_progress
from video_tool.question import (
    AskOptions,
    ConversationOptions,
    ImageInput,
    VideoInput,
    VideoQuestion,
)
from video_tool.receipt import write_receipt
from video_tool.settings import Settings
from video_tool.streaming import ain_pieces, in_pieces
from video_tool.turn import Turn, TurnReader


class VideoQA:
    """Asks a video-language model questions about videos and images.

    The model is loaded by the first question, beside the download of its video if there is one, and kept for as long as
    `settings.unload_after` says. Engines with the same model and options share its weights. An instance may be shared
    by threads: what they fetch and decode runs side by side, and so do questions to a server. A model that runs here
    answers those together that wait for it at the same time, where each gets the words that it would have by itself,
    and the others one after another.

    Args:
        model: a name on the Hugging Face hub, a checkpoint folder, `builtin` for the small model in the package, or
            `openai:NAME` for a model that a server runs, or `NAME:…` for one that a plugin's backend runs; by default
            what the settings say. Weights are read from safetensors alone.
        settings: limits and defaults; by default read from `VIDEO_TOOL_*`.
        on_progress: called with news of each stage, one after the other: from the thread that asks, or, while several
            of its videos are decoded, from theirs.
        **options: how the model is loaded and run, as `ModelOptions` describes it:

            - revision: the hub's branch, tag or commit; a commit stays what it is. Answers say which it was.
            - device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, …; `cuda` spreads over several cards, and over main
              memory when they are full.
            - device_map: instead of device: `auto`, `balanced`, `balanced_low_0` or `sequential`, or a device,
              `cpu` or `disk` for each module, by name.
            - max_memory: the most that device_map may take of each device, as `{0: "20GiB", "cpu": "60GiB"}`.
            - dtype: `auto`, `float32`, `bfloat16` or `float16`.
            - attention: `auto` (FlashAttention 2 where it is installed and fit, else sdpa), `sdpa`, `eager`,
              `flash_attention_2`, ….
            - quantization: `bitsandbytes-8bit`, `bitsandbytes-4bit` or `torchao-int8`; each an extra to install.
            - adapter, adapter_revision: a LoRA adapter, on the hub or in a folder; needs the extra `peft`.
            - kind: `chat`, `instruct` or `base`, as `ModelInfo` describes them; found out by default.
            - compile: whether torch.compile makes it faster; the first question takes a minute more.
            - kv_cache: `8bit` keeps a prompt's keys and values in half of the memory, or a quarter of float32's.
            - trust_remote_code: the model's name, once more, to have the code run that its checkpoint brings. It can do
              whatever you can: read it, and pin the revision.
            - offline: whether nothing is asked of the hub, as with `HF_HUB_OFFLINE=1`.

            And for `openai:NAME`, how its server is asked:

            - base_url: where its API begins, such as `http://127.0.0.1:8000/v1`; by default what the settings or
              OPENAI_BASE_URL say.
            - api_key: by default what OPENAI_API_KEY says. Local servers mostly want none.
            - timeout: seconds that the server may be silent (600).
            - max_retries: how often a request is sent again before any of the answer has come (2).
            - video_format: `frames` sends an image for each frame; `video` one part for each video, which vLLM takes
              for models that see videos.

            A plugin's backend is handed all of them, and says what it makes of them.

    Raises:
        ModelError: an option is of a wrong type or value, or two exclude each other.
        TypeError: there is no such option.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        settings: Settings | None = None,
        on_progress: OnProgress = ignore_progress,
        **options: Unpack[EngineOptions],
    ) -> None:
        self.settings = settings or Settings()
        self.model = model or self.settings.model
        self.on_progress = on_progress
        self.options = options_of(self.model, options)
        self._held = HeldModel(self.settings.unload_after)

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
                  others, which is quicker; `scenes` shows some of every scene, and decodes all to find them; any
                  other is a plugin's.
                - timestamps: seconds; the frames shown then, of each video, and no others.
                - start, end: seconds; nothing before, or from there on, is looked at.
                - fit: what happens when the frames don't fit into the model's context: `error` (the default) says how
                  many would, before any is decoded; `reduce` looks at so many, with a warning.
                - choices: the likeliest of these is the answer, and `answer.choices` says how likely each was; nothing
                  is generated.
                - response_format: a pydantic model's class or a JSON schema: the answer is JSON that fits it, and
                  `answer.parsed` the instance, or what the JSON holds. The words of the question are all that the
                  model is told of it. Where the JSON is cut off, or a validator refuses it, `parsed` is None and a
                  warning says why.
                - logprobs: whether `answer.logprobs` tells how likely each token was, and top_logprobs of the
                  likeliest at each place.
                - max_new_tokens, max_seconds: most tokens of the answer (100), most seconds of generating it.
                - stop: strings before which the answer ends.
                - temperature: 0 (the default) always takes the likeliest token; above it, tokens are drawn, with
                  top_p, top_k and seed.
                - repetition_penalty: above 1, what was said already becomes less likely.
                - visual_tokens: `all` reads every frame whole; `pooled` each two by two of its tokens as their mean;
                  `changed` of further frames of a video what has changed. Not all models allow it.
                - system: what the model is told before anything else.
                - examples: `Example`s, questions with their answers, shown before the question.

                A base model goes on with the question as it is written, so write what the answer should follow:
                "<video> Question: What moves? Answer:", and a `stop` that ends it.

        Raises:
            QuestionError: the question can't be asked so.
            SourceError: a video or image can't be had.
            DecodeError: no frames come out of one.
            PromptError: question and media don't make a prompt that the model can hold.
            ModelError: the model can't be loaded or run, or can't spell what response_format asks for.
            MissingDependencyError: response_format needs `video-tool[structured]`.
            CancelledError, DeadlineError: the `CancelScope` around it was cancelled, or its deadline is over.
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
        """`ask`, in a thread of its own: the event loop goes on meanwhile, and cancelling the task stops the work."""
        return await run_in_thread(partial(self.ask, question, videos, images, **options))

    def stream(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> Generator[str | VideoAnswer]:
        """The answer piece by piece while it is generated, and in the end the `VideoAnswer`, whose text they make up.

        Who leaves the loop early stops generating at once. Arguments and errors as for `ask`.
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
        turn = await run_in_thread(partial(self.read, VideoQuestion.of(question, videos, images, options)))
        async for piece in self.areply_in_pieces(turn):
            yield piece

    def ask_many(
        self,
        questions: Sequence[str],
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> list[VideoAnswer]:
        """Answers several questions about the same videos and images, each as `ask` would.

        They are fetched, read and shown to the model once. A model that runs here then answers them together, as it
        does with those of threads that ask at the same time; a server is asked all at once. Where that could not give
        each question the words that it would have by itself (tokens are drawn, there are choices, a response_format,
        logprobs or a repetition_penalty, or the model can't go on from one beginning more than once), they are
        answered one by one.

        Args:
            questions: each as for `ask`.
            videos: as for `ask`.
            images: as for `ask`.
            **options: as for `ask`, for all questions.

        Returns:
            The answers, in the questions' order. `batch` says how many were answered together, and their timings how
            long all of these took.

        Raises:
            VideoToolError: as `ask` does; where one question fails, none is answered.
        """
        asked = [VideoQuestion.of(question, videos, images, options) for question in questions]
        for each in asked:
            self.check(each)
        turns = read_many(self.read, asked)
        if isinstance(self.options, RemoteOptions):
            return side_by_side(self.reply, turns)
        with self._held.in_use(self._load) as used:
            if turns and isinstance(used.model, BatchModel):
                messages = [turn.messages for turn in turns]
                found = used.model.generate_many(messages, turns[0].options, self.on_progress)
                info = used.model.info
                return [write_receipt(turn, each, info, 0.0) for turn, each in zip(turns, found, strict=True)]
            return [self.reply(turn) for turn in turns]

    async def aask_many(
        self,
        questions: Sequence[str],
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> list[VideoAnswer]:
        """`ask_many`, in a thread of its own: the event loop goes on, and cancelling the task stops the work."""
        return await run_in_thread(partial(self.ask_many, questions, videos, images, **options))

    def plan(
        self,
        question: str,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[AskOptions],
    ) -> Plan:
        """What `ask` would look at, and how much of the model's context it would take.

        Files are fetched, frames are counted and not decoded, and the model's weights stay where they are. Tokens are
        told of models whose files are on this machine, system prompt and examples left out. Arguments as for `ask`.

        Raises:
            VideoToolError: as `ask` does, short of decoding and of the model.
        """
        asked = VideoQuestion.of(question, videos, images, options)
        self.check(asked)
        check_sampling(asked.sampling, self.settings)
        with fetch_media(asked.videos, asked.images, self.settings, self.on_progress) as fetched:
            return self.plan_fetched(asked, fetched)

    def plan_fetched(self, question: VideoQuestion, fetched: FetchedMedia) -> Plan:
        """The same of what has been fetched already, instead of the question's own. Raises as `plan` does."""
        known = known_preprocessor(self.model, self.options, self._held, self.settings)
        return make_plan(question, fetched, self.reader(), known, self.settings)

    def conversation(
        self,
        videos: Sequence[VideoInput] = (),
        images: Sequence[ImageInput] = (),
        **options: Unpack[ConversationOptions],
    ) -> Conversation:
        """Several questions, each knowing what was said before, about the same videos and images, and more on the way.

        They are fetched and read by the first question, and not again. Arguments as for `ask`.
        """
        return Conversation(self, VideoQuestion.of("", videos, images, AskOptions(**options)))

    def answer(self, question: VideoQuestion) -> VideoAnswer:
        """Answers a question that is an object already. Raises as `ask` does."""
        return self.reply(self.read(question))

    def answer_in_pieces(self, question: VideoQuestion) -> Generator[str | VideoAnswer]:
        """What `stream` gives, for a question that is an object already."""
        yield from self.reply_in_pieces(self.read(question))

    def read(self, question: VideoQuestion) -> Turn:
        """All that the model needs to answer a question. Raises as `ask` does, short of generating."""
        began = time.perf_counter()
        self.check(question)
        alone = question.model_copy(update={"videos": (), "images": ()})
        return self.reader().first(alone, question, began)

    def reader(self) -> TurnReader:
        """Reads what questions are about."""
        use_model = partial(self._held.in_use, self._load)
        load_ahead = partial(LoadAhead, self._held, self._load_telling, self.on_progress)
        return TurnReader(self.settings, self.on_progress, use_model, load_ahead)

    def check(self, question: VideoQuestion, *, shown_already: bool = False) -> None:
        """Refuses what can't be asked of any model, before anything is fetched.

        Args:
            question: what is asked.
            shown_already: whether there are videos or images that were given before.

        Raises:
            QuestionError: it is empty, about nothing, or to be answered in a way that makes no sense.
            ModelNotFoundError: the model's name begins with that of a backend that nobody has.
        """
        check_question(question, self.model, self.options, self.settings, shown_already=shown_already)

    def load(self) -> float:
        """Has the model loaded, if it is not yet, and what decodes videos started; returns the seconds of loading.

        Raises `ModelError` as `ask` does.
        """
        start_decoder(self.settings)
        with self._held.in_use(self._load) as used:
            return used.load_seconds

    def unload(self) -> None:
        """Gives back the memory that the model takes, until the next question loads it again.

        Questions that it is answering right now get their answers first, and the memory is back after the last of
        them. Weights that another engine uses, too, stay for that one.
        """
        self._held.unload()

    def reply(self, turn: Turn, on_text: OnText | None = None) -> VideoAnswer:
        """The model's next words.

        Args:
            turn: what it is asked.
            on_text: told what each token adds to the text; what it raises ends generating.
        """
        check_options(turn.options, self.options)
        with self._held.in_use(self._load) as used:
            generation = used.model.generate(turn.messages, turn.options, self.on_progress, on_text)
            return write_receipt(turn, generation, used.model.info, used.load_seconds)

    def reply_in_pieces(self, turn: Turn) -> Generator[str | VideoAnswer]:
        """`reply` as `stream` gives it."""
        return in_pieces(partial(self.reply, turn))

    def areply_in_pieces(self, turn: Turn) -> AsyncGenerator[str | VideoAnswer]:
        """`reply` as `astream` gives it."""
        return ain_pieces(partial(self.reply, turn))

    def _load(self) -> VideoLanguageModel:
        return self._load_telling(self.on_progress)

    def _load_telling(self, on_progress: OnProgress) -> VideoLanguageModel:
        return load_model(self.model, self.options, self.settings, on_progress)
