"""Everything that can go wrong, as types.

    VideoToolError
    ├── QuestionError (ValueError)            the question itself can't be asked so
    ├── SourceError (OSError)                 a video or image can't be had
    │   ├── SourceNotFoundError (FileNotFoundError)
    │   ├── SourceRefusedError (PermissionError)
    │   ├── SourceTooLargeError
    │   ├── StorageError                      there is nowhere to put it
    │   └── DownloadError                     the site or the network failed
    ├── DecodeError                           a file was had, but no frames come out of it
    │   ├── NoVideoError                      it holds no video at all
    │   ├── VideoTooLargeError                more pixels, frames or seconds than the settings allow
    │   └── DecodeTimeoutError (TimeoutError)
    ├── PromptError                           question and media don't make a prompt
    │   ├── PlaceholderError                  placeholders and media don't match
    │   └── ContextLengthError                more tokens than the model can hold
    ├── ModelError                            the model can't be loaded or can't answer
    │   ├── ModelNotFoundError
    │   ├── CheckpointError                   weights or configuration don't fit together
    │   ├── StructuredOutputError             it can't answer in the form of response_format
    │   ├── UntrustedCodeError (PermissionError)  the checkpoint needs code that may not run
    │   ├── OutOfMemoryError (MemoryError)
    │   └── ServerError                       the server that runs the model can't be reached, or fails
    │       ├── ServerRefusedError (PermissionError)
    │       ├── ServerTimeoutError (TimeoutError)
    │       └── RateLimitError
    ├── CancelledError                        nobody waits for the answer any more
    ├── DeadlineError (TimeoutError)          it took longer than the caller allows
    ├── BusyError                             too many questions at once
    └── MissingDependencyError (ImportError)  an optional package is needed

Each says what happened (`str(error)`), what to do (`hint`), whether the same call may succeed later (`retryable`)
and after how many seconds (`retry_after`), so that no caller has to read messages; `code` names the kind. `exit_code`
is the command line's.
"""

from __future__ import annotations

import re
from typing import ClassVar


class PluginWarning(RuntimeWarning):
    """A plugin is broken and left out; all else works. See `video_tool.plugins`."""


class VideoToolError(Exception):
    """Base of all errors that this package raises on purpose.

    Args:
        message: what happened, in one line.
        hint: what to do about it, in one line.
        retryable: whether the same call may succeed later.
        retry_after: the seconds to wait before that, or None when it is not known.

    Attributes:
        about: which of the question's videos or images it concerns, as `video 2`; None where it is not a single one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, hint: str = "", retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retryable = retryable
        self.retry_after = retry_after
        self.about: str | None = None

    @property
    def code(self) -> str:
        """The kind of error as a word for programs: `source_not_found` of a `SourceNotFoundError`."""
        name = type(self).__name__.removesuffix("Error")
        return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

    def __str__(self) -> str:
        return self.message


class QuestionError(VideoToolError, ValueError):
    """The question can't be asked so: empty, without media, or with sampling that makes no sense."""

    exit_code = 2


class SourceError(VideoToolError, OSError):
    """A video or image can't be had."""

    exit_code = 3


class SourceNotFoundError(SourceError, FileNotFoundError):
    """There is nothing at this path or address."""


class SourceRefusedError(SourceError, PermissionError):
    """What was asked for is not fetched or opened, by policy or because it isn't a file."""


class SourceTooLargeError(SourceError):
    """More bytes than the settings allow."""


class StorageError(SourceError):
    """What was fetched or handed in can't be written: there is no space for it, or no right to."""


class DownloadError(SourceError):
    """The site or the network failed."""


class DecodeError(VideoToolError):
    """A file was had, but no frames come out of it."""

    exit_code = 4


class NoVideoError(DecodeError):
    """The file holds no video: text, a playlist, an image, sound only, or nothing."""


class VideoTooLargeError(DecodeError):
    """More pixels, frames, seconds or bytes of frames than the settings allow."""


class DecodeTimeoutError(DecodeError, TimeoutError):
    """Reading took longer than allowed and was stopped."""


class PromptError(VideoToolError):
    """Question and media don't make a prompt."""

    exit_code = 5


class PlaceholderError(PromptError):
    """The number of placeholders differs from the number of videos, images or frames."""


class ContextLengthError(PromptError):
    """The prompt is longer than the model's context.

    Args:
        message: what happened.
        hint: what to do.
        max_frames: the largest number of frames a video that would fit; 0 when not even one does, None when the server
            that runs the model did not tell.
    """

    def __init__(self, message: str, *, hint: str = "", max_frames: int | None) -> None:
        super().__init__(message, hint=hint)
        self.max_frames = max_frames


class ModelError(VideoToolError):
    """The model can't be loaded or can't answer."""

    exit_code = 6


class ModelNotFoundError(ModelError):
    """There is no such model, or it can't be reached."""


class CheckpointError(ModelError):
    """The checkpoint's weights or configuration don't fit together."""


class StructuredOutputError(ModelError):
    """The model can't answer in the form that `response_format` asks for."""


class UntrustedCodeError(ModelError, PermissionError):
    """The checkpoint does not run without code of its own, or of others, that nobody has allowed."""


class OutOfMemoryError(ModelError, MemoryError):
    """The device's memory does not hold the model or the question.

    Args:
        message: what happened.
        hint: what to do.
        retryable: whether the same call may succeed later.
        fits: the most of the question that may have fitted, more than 0 and below 1; None when it is not known.
    """

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False, fits: float | None = None) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.fits = fits


class ServerError(ModelError):
    """The server that runs the model can't be reached, fails, or refuses the request."""


class ServerRefusedError(ServerError, PermissionError):
    """The server wants a key, or does not allow this one to ask the model."""


class ServerTimeoutError(ServerError, TimeoutError):
    """The server took longer than allowed."""


class RateLimitError(ServerError):
    """The server has had too many requests, or as many as were paid for."""


class CancelledError(VideoToolError):
    """Nobody waits for the answer any more: its `CancelScope`, or the task that asked, was cancelled."""


class DeadlineError(VideoToolError, TimeoutError):
    """The answer took longer than its `CancelScope` allows."""


class BusyError(VideoToolError):
    """As many questions are being answered, and wait for it, as are allowed at once."""


class MissingDependencyError(VideoToolError, ImportError):
    """An optional package is needed.

    Args:
        package: what is missing.
        install: what to install, as pip takes it.
    """

    exit_code = 7

    def __init__(self, package: str, *, install: str) -> None:
        super().__init__(f"{package} is not installed", hint=f"pip install '{install}'")
