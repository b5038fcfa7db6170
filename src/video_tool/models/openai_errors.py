"""The errors of the `openai` client in our words. Nothing else translates them."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from video_tool.errors import (
    ContextLengthError,
    ModelError,
    ModelNotFoundError,
    QuestionError,
    RateLimitError,
    ServerError,
    ServerRefusedError,
    ServerTimeoutError,
)
from video_tool.sources.failures import retry_after_of
from video_tool.sources.naming import redact_text

_TOO_LONG = re.compile(
    r"context[_ ]?(length|size|window)|max(imum)?[_ ]?model[_ ]?len|(prompt|input)[^.]{0,40}\btoo long"
    r"|longer than the (model|maximum)",
    re.IGNORECASE,
)
"""How servers say that a prompt is too long for the model. Where they have a code for it: OpenAI
`context_length_exceeded`, llama.cpp `exceed_context_size_error`; vLLM, SGLang and others have sentences only."""

_OPTIONS = {
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop",
    "repetition_penalty": "repetition_penalty",
    "response_format": "response_format",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
}
"""Parameters of a request, and which generation option each comes from."""

_PAUSE = 60.0
"""Seconds to wait when a server says "too many requests" and not for how long: limits are counted by the minute."""


@contextmanager
def translated(server: str, model: str, api_key: str) -> Generator[None]:
    """Turns what the client raises within the block into one of our errors.

    Args:
        server: the address, as errors may show it.
        model: as the server knows it.
        api_key: kept out of messages, also where a server repeats it.

    Raises:
        ModelError, PromptError, QuestionError: as the case may be.
    """
    import openai

    try:
        yield
    except openai.OpenAIError as error:
        said = _said(error, api_key)
        # a traceback shows causes, too
        cause = None if api_key and api_key in str(error) else error
        raise _translation(error, server, model, said) from cause
    except json.JSONDecodeError as error:
        raise ServerError(
            f"{server} sends what is no JSON", hint="Check that base_url ends where its API begins, as in …/v1."
        ) from error


def _translation(error: Exception, server: str, model: str, said: str) -> Exception:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return ServerTimeoutError(
            f"{server} did not answer in time",
            hint="Raise timeout (or max_seconds), or ask with fewer frames.",
            retryable=True,
        )
    if isinstance(error, openai.APIConnectionError):
        return ServerError(
            f"{server} can't be reached, or broke off",
            hint="Check base_url, and that the server runs: `video-tool doctor --model openai:… --base-url …`.",
            retryable=True,
        )
    if isinstance(error, openai.APIStatusError):
        return _of_status(error.status_code, error, error.response.headers, server, model, said)
    if isinstance(error, openai.APIError):
        # in the middle of a stream there is no status any more, but many servers put one into the message
        code = getattr(error, "code", None)
        status = int(code) if code and str(code).isdecimal() else 500
        return _of_status(status, error, {}, server, model, said)
    return ModelError(f"{server}: {said}", hint="Check api_key, base_url and the environment's OPENAI_… variables.")


def _of_status(
    status: int, error: Exception, headers: Mapping[str, str], server: str, model: str, said: str
) -> Exception:
    """By what HTTP says, and where that says little, by what the server does."""
    what = f"{server} answers {status}: {said}"
    retry_after = retry_after_of(headers)
    codes = {str(getattr(error, "code", "")), str(getattr(error, "type", ""))}
    if status in (401, 403):
        return ServerRefusedError(what, hint="Give the server's key as api_key, or in OPENAI_API_KEY.")
    if status == 404:
        return ModelNotFoundError(
            what, hint=f"Check that the server has {model}, and that base_url ends where its API begins, as in …/v1."
        )
    if status == 429 and "insufficient_quota" in codes:
        return RateLimitError(what, hint="What was paid for is used up: see the account at the provider.")
    if status == 429:
        seconds = _PAUSE if retry_after is None else retry_after
        return RateLimitError(
            what, hint=f"Ask again in {seconds:.0f} seconds, and less often.", retryable=True, retry_after=seconds
        )
    if status in (408, 504):
        return ServerTimeoutError(
            what, hint="Ask again, or with fewer frames.", retryable=True, retry_after=retry_after
        )
    if status < 500 or codes & {"context_length_exceeded", "exceed_context_size_error"}:
        return _of_request(error, codes, what)
    return ServerError(
        what, hint="Ask again later; the server's log says more.", retryable=True, retry_after=retry_after
    )


def _of_request(error: Exception, codes: set[str], what: str) -> Exception:
    """For requests that the server refuses as they are."""
    if codes & {"context_length_exceeded", "exceed_context_size_error"} or _TOO_LONG.search(str(error)):
        return ContextLengthError(
            what,
            hint="Lower num_frames, ask about fewer videos, or lower max_new_tokens.",
            max_frames=None,
        )
    option = _OPTIONS.get(str(getattr(error, "param", "")))
    if option:
        return QuestionError(what, hint=f"Give another {option}, or leave it out, as the server says.")
    return ServerError(
        what, hint="Lower num_frames, or raise what the server allows in one request; docs/serving.md has both."
    )


def _said(error: Exception, api_key: str) -> str:
    """What the server says, on one line, without addresses' secrets and without the key."""
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, Mapping) else None
    text = message if isinstance(message, str) and message else str(error)
    if api_key:
        text = text.replace(api_key, "…")
    return redact_text(text) or type(error).__name__
