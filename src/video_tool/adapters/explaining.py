"""Errors in words for the model that called: what happened, and what to do instead.

Nothing of the machine is in them: no paths, addresses or traces. Nor is what a site or a file says of itself, which
could be instructions. Only errors about the question itself keep their own words: they repeat nothing but arguments.
"""

from __future__ import annotations

import re

from video_tool.adapters.results import ToolError
from video_tool.adapters.tools import TOOLS
from video_tool.errors import (
    BusyError,
    CancelledError,
    CheckpointError,
    DeadlineError,
    DecodeError,
    DecodeTimeoutError,
    DownloadError,
    MissingDependencyError,
    ModelError,
    NoVideoError,
    OutOfMemoryError,
    PromptError,
    QuestionError,
    RateLimitError,
    ServerTimeoutError,
    SourceError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceTooLargeError,
    StorageError,
    VideoTooLargeError,
    VideoToolError,
)

_TELL_THE_USER = "tell the user that whoever runs this tool has to look at its log"

_ARGUMENT = rf"({'|'.join({name for tool in TOOLS.values() for name in tool.arguments.model_fields})})\b"

_OWN_WORDS = (QuestionError, PromptError, BusyError, CancelledError, DeadlineError)

_WORDS: tuple[tuple[type[VideoToolError], str], ...] = (
    (SourceNotFoundError, "there is nothing at {it}: check how it is spelled, or ask the user for another"),
    (
        SourceRefusedError,
        "{it} is not allowed, or needs a sign-in: give a public https URL, or ask the user for another video",
    ),
    (SourceTooLargeError, "{it} is too large to be fetched: ask the user for a smaller or shorter copy"),
    (DownloadError, "{it} could not be downloaded: try once more, then ask the user for another address"),
    (StorageError, f"there is no room for {{it}}: {_TELL_THE_USER}"),
    (SourceError, "{it} could not be had: ask the user for another address or file"),
    (
        NoVideoError,
        "{it} is no video (text, a playlist, sound alone, or a single image): give the address of the video itself",
    ),
    (VideoTooLargeError, "{it} is too long or too large: ask for fewer frames, or the user for a smaller copy"),
    (DecodeTimeoutError, "reading {it} took too long: ask about a shorter range, with start and end"),
    (DecodeError, "{it} is damaged, or of a kind that can't be read: ask the user for another copy"),
    (OutOfMemoryError, "the video model ran out of memory: ask with fewer frames (num_frames) or fewer videos"),
    (RateLimitError, "the video model has too much to do: try again later"),
    (ServerTimeoutError, "the video model did not answer in time: try again later, or ask with fewer frames"),
    (CheckpointError, f"the video model can't be used: {_TELL_THE_USER}"),
    (ModelError, f"the video model can't answer now: {_TELL_THE_USER}"),
    (VideoToolError, f"the tool can't answer now: {_TELL_THE_USER}"),
)


OPERATORS = (ModelError, StorageError, MissingDependencyError)
"""What nobody but who runs the tool can do something about."""


def explain(error: VideoToolError) -> ToolError:
    """An error as the model that called, and its host, are told of it."""
    return ToolError(
        code=error.code, message=_sentence(error), retryable=error.retryable, retry_after=error.retry_after
    )


def _sentence(error: VideoToolError) -> str:
    if isinstance(error, _OWN_WORDS):
        hint = error.hint.rstrip(".")
        said = f"{error.message}: {hint[:1].lower()}{hint[1:]}" if hint else error.message
    else:
        words = next(words for kind, words in _WORDS if isinstance(error, kind))
        said = words.format(it=error.about or "the video")
        if error.retry_after is not None:
            said += f" (try again in {error.retry_after:.0f} s)"
    if not (isinstance(error, QuestionError) and re.match(_ARGUMENT, said)):  # a model is to find them as they are
        said = f"{said[:1].upper()}{said[1:]}"
    return said if said.endswith("?") else f"{said}."
