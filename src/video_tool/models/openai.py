"""Models behind a server that speaks OpenAI's protocol: vLLM, SGLang, LMDeploy, llama.cpp, hosted ones."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from video_tool.answer import ModelInfo, TokenLogprob, TopLogprob, Usage
from video_tool.errors import MissingDependencyError, ModelError, QuestionError, ServerError, ServerTimeoutError
from video_tool.model_options import REMOTE, RemoteOptions
from video_tool.models.base import Generation, OnText, Said
from video_tool.models.chat_messages import chat_messages, video_metadata
from video_tool.models.loop_thread import LoopThread
from video_tool.models.openai_errors import translated
from video_tool.models.options import check_remote_generation
from video_tool.models.transcript import Transcript
from video_tool.progress import OnProgress, Progress
from video_tool.prompt import Message
from video_tool.question import GenerationOptions
from video_tool.response_format import json_schema
from video_tool.sources.naming import redact

if TYPE_CHECKING:
    import openai

_NO_KEY = "none"
"""What a server is sent that wants no key: the client insists on one."""

_CONNECT_SECONDS = 5.0
"""What connecting may take; the client's own default."""

_BROKEN_OFF = {"content_filter": "its filter withheld the rest", "abort": "it was aborted", "error": "it failed"}
"""Why servers end an answer that is not whole; any other reason is taken for the model's own end."""


class OpenAIModel:
    """A `VideoLanguageModel` that a server runs, which answers as many questions at once as the server takes.

    Nothing is sent before the first question.

    Args:
        model: `openai:` and the name by which the server knows it.
        options: where the server is, and how it is asked.

    Raises:
        MissingDependencyError: the `openai` package is not installed.
        QuestionError: the name or an option makes no sense.
        ModelError: there is no key.
    """

    frame_size = None

    def __init__(self, model: str, options: RemoteOptions) -> None:
        self._name = model.removeprefix(REMOTE)
        if not self._name:
            raise QuestionError(
                f"{model} names no model", hint="Write openai: and the name that the server has for it."
            )
        self._options = options
        self._connect()
        self._limit = "max_tokens"  # what every server knows; some hosted models know max_completion_tokens alone
        self._server = redact(str(self._client.base_url)).rstrip("/")
        self.info = ModelInfo(
            id=model,
            revision=None,
            device=self._server,
            dtype=None,
            attention=None,
            takes="video" if options.video_format == "video" else "images",
            kind="chat",
        )

    def models(self) -> tuple[str, ...]:
        """The names of all models that the server has. Raises as `generate` does."""
        loop, client = self._connected()
        with self._translated():
            # as it came: the client takes for granted that it is a list of models
            listed: Any = json.loads(loop.result(client.models.with_raw_response.list).text)
        rows: Any = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(rows, list):
            raise ServerError(
                f"{self._server} answers, but with no list of models",
                hint="Check that base_url ends where its API begins, as in …/v1.",
            )
        return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)

    def check_length(self, messages: Sequence[Message], options: GenerationOptions) -> None:
        """The server alone knows how many tokens it makes of a conversation: nothing is refused here."""

    def generate(
        self,
        messages: Sequence[Message],
        options: GenerationOptions,
        on_progress: OnProgress,
        on_text: OnText | None = None,
    ) -> Generation:
        """The next words in a conversation, as the server streams them; who leaves early has it stop.

        Raises:
            QuestionError: an option can't be had from this server, or from any.
            ContextLengthError: prompt and answer are longer than the model's context.
            ModelNotFoundError: the server does not have the model.
            ServerError: the server can't be reached, fails, or refuses the request.
            CancelledError, DeadlineError: the work around is to stop.
        """
        check_remote_generation(options)
        asked = time.perf_counter()
        video_format = self._options.video_format
        request: dict[str, Any] = {"messages": chat_messages(messages, video_format), **request_arguments(options)}
        if video_format == "video":
            request["extra_body"] = {**request.get("extra_body", {}), **video_metadata(messages)}
        sent = time.perf_counter()
        answer = _Answer(options, on_progress, on_text, self.info.id)
        try:
            with closing(self._chunks(request, options)) as chunks:
                answer.hear(chunks, sent)
        except ServerTimeoutError:
            if not answer.out_of_time(sent):
                raise
        return Generation(answer.said(self._server), answer.usage, sent - asked, time.perf_counter() - sent)

    def _chunks(self, request: dict[str, Any], options: GenerationOptions) -> Generator[Any]:
        """The answer in chunks; closing this closes the connection, on which servers stop generating."""
        loop, client = self._connected()
        if options.max_seconds is not None:
            # silence can't outlast them, nor can a second try
            seconds = min(options.max_seconds, self._options.timeout)
            client = client.with_options(timeout=_timeout(seconds), max_retries=0)
        with self._translated(), closing(loop.each(self._streamed(client, request, options.max_new_tokens))) as chunks:
            yield from chunks

    async def _streamed(self, client: openai.AsyncOpenAI, request: dict[str, Any], most: int) -> AsyncGenerator[Any]:
        async with await self._opened(client, request, most) as stream:
            async for chunk in stream:
                yield chunk

    async def _opened(self, client: openai.AsyncOpenAI, request: dict[str, Any], most: int) -> Any:
        import openai

        create: Any = client.chat.completions.create
        common = {"model": self._name, "stream": True, "stream_options": {"include_usage": True}, **request}
        limit = self._limit
        try:
            return await create(**common, **{limit: most})
        except openai.BadRequestError as error:
            if error.param != limit or error.code != "unsupported_parameter" or limit != "max_tokens":
                raise
        self._limit = "max_completion_tokens"
        return await create(**common, max_completion_tokens=most)

    def _connect(self) -> None:
        self._client = _client(self._options)
        self._loop = LoopThread(self._client.close)

    def _connected(self) -> tuple[LoopThread, openai.AsyncOpenAI]:
        if self._loop.lost:
            self._connect()
        return self._loop, self._client

    @contextmanager
    def _translated(self) -> Generator[None]:
        with translated(self._server, self._name, self._client.api_key):
            yield


class _Answer:
    """An answer while it comes."""

    def __init__(self, options: GenerationOptions, on_progress: OnProgress, on_text: OnText | None, model: str) -> None:
        self.usage = Usage(visual_tokens=None, text_tokens=None, new_tokens=None)
        self.reason: str | None = None
        self.logprobs: list[TokenLogprob] = []
        self._options, self._on_progress, self._model = options, on_progress, model
        self._transcript = Transcript(options.stop, on_text)

    def hear(self, chunks: Iterable[Any], sent: float) -> None:
        """Takes chunks to the end, to a stop string, or until the time is over."""
        whole = ""
        pieces = 0
        for chunk in chunks:
            if chunk.usage is not None:
                self.usage = Usage(
                    visual_tokens=None, text_tokens=chunk.usage.prompt_tokens, new_tokens=chunk.usage.completion_tokens
                )
            for choice in chunk.choices or ():
                self.reason = choice.finish_reason or self.reason
                self.logprobs += _logprobs(choice)
                if not choice.delta.content:
                    continue
                whole += choice.delta.content
                pieces += 1  # servers send a token a piece, or a few
                self._on_progress(Progress("generate", self._model, pieces, self._options.max_new_tokens, "tokens"))
                self._transcript.read(whole)
                self._transcript.tell()
            if self._transcript.stopped and self.reason is None:
                self.reason = "stop"
                break
            if self.reason is None and self.out_of_time(sent):
                break

    def out_of_time(self, sent: float) -> bool:
        """Whether max_seconds are over, and something was said: an answer without a word is none."""
        seconds = self._options.max_seconds
        if seconds is None or time.perf_counter() - sent < seconds or not self._transcript.text:
            return False
        self.reason = "time"
        return True

    def said(self, server: str) -> Said:
        """What came of it. Raises `ServerError` where the server broke it off."""
        if self.reason is None:
            raise ServerError(
                f"{server} ended the answer before the model had", hint="Ask again; its log says more.", retryable=True
            )
        if self.reason in _BROKEN_OFF:
            raise ServerError(
                f"{server} ended the answer early: {_BROKEN_OFF[self.reason]}",
                hint="Ask in other words." if self.reason == "content_filter" else "Ask again; its log says more.",
                retryable=self.reason != "content_filter",
            )
        self._transcript.tell(whole=True)
        reason: Literal["stop", "length", "time"] = "stop"
        if self.reason in ("length", "time") and not self._transcript.stopped:
            reason = "length" if self.reason == "length" else "time"
        if self._options.logprobs and not self.logprobs:
            raise ServerError(f"{server} does not tell how likely tokens are", hint="Leave out logprobs.")
        return Said(self._transcript.text, (), reason, logprobs=tuple(self.logprobs))


def _logprobs(choice: Any) -> list[TokenLogprob]:
    """How likely the tokens of a piece were, as far as the server tells it."""
    told = getattr(choice, "logprobs", None)
    return [
        TokenLogprob(
            **_as_told(token), top_logprobs=tuple(TopLogprob(**_as_told(each)) for each in token.top_logprobs or ())
        )
        for token in (told and told.content) or ()
    ]


def _as_told(token: Any) -> dict[str, Any]:
    spelled = getattr(token, "bytes", None)
    return {"token": token.token, "logprob": token.logprob, "bytes": None if spelled is None else tuple(spelled)}


def request_arguments(options: GenerationOptions) -> dict[str, Any]:
    """What the request holds for these options, short of the most tokens; what is not given is left to the server."""
    arguments: dict[str, Any] = {"temperature": options.temperature}
    for name in ("top_p", "seed"):
        if getattr(options, name) is not None:
            arguments[name] = getattr(options, name)
    if options.stop:
        arguments["stop"] = list(options.stop)
    if options.response_format is not None:
        schema = {"name": "answer", "schema": json_schema(options.response_format), "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    if options.logprobs:
        arguments["logprobs"] = True
        if options.top_logprobs:
            arguments["top_logprobs"] = options.top_logprobs
    # beyond OpenAI's own, by the names that vLLM, SGLang and LMDeploy share
    beyond = {name: getattr(options, name) for name in ("top_k", "repetition_penalty")}
    given = {name: value for name, value in beyond.items() if value is not None}
    return arguments | ({"extra_body": given} if given else {})


def _client(options: RemoteOptions) -> openai.AsyncOpenAI:
    import os

    try:
        import openai
    except ImportError as error:
        raise MissingDependencyError("openai", install="video-tool[openai]") from error
    key = options.api_key or os.environ.get("OPENAI_API_KEY")
    if not key and (options.base_url or os.environ.get("OPENAI_BASE_URL")):
        key = _NO_KEY
    if not key:
        raise ModelError(
            "there is no key for OpenAI's server, and no other server is named",
            hint="Set OPENAI_API_KEY, or give base_url, such as http://127.0.0.1:8000/v1.",
        )
    return openai.AsyncOpenAI(
        api_key=key,
        base_url=options.base_url,
        timeout=_timeout(options.timeout),
        max_retries=options.max_retries,
    )


def _timeout(seconds: float) -> openai.Timeout:
    import openai

    return openai.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
