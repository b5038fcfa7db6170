"""A reference in, a local file out; what had to be written for that is gone after the with-block."""

from __future__ import annotations

import io
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from video_tool.cancellation import check
from video_tool.errors import (
    QuestionError,
    SourceError,
    SourceNotFoundError,
    SourceRefusedError,
    VideoToolError,
)
from video_tool.progress import OnProgress, ignore_progress
from video_tool.settings import Settings
from video_tool.sources.failures import too_large, unwritable
from video_tool.sources.naming import one_line, redact_text, url_name
from video_tool.sources.plugged import plugged_source
from video_tool.sources.policy import check_file, check_path, check_url, scheme_of
from video_tool.sources.scratch import private_folder

_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class SourceFile:
    """A video or image as a local file.

    Attributes:
        path: where it lies, absolute (a relative `concat:a.mp4` would be a protocol to FFmpeg) and without symbolic
            links.
        name: how errors and answers call it.
        from_cache: whether it was downloaded earlier.
        warnings: what the user should know about how it was had.
        digest: tells its content from any other, where it was copied here; empty where it was not.
    """

    path: Path
    name: str
    from_cache: bool = False
    warnings: tuple[str, ...] = ()
    digest: str = ""


@contextmanager
def open_source(
    source: str | Path | bytes | BinaryIO, settings: Settings, on_progress: OnProgress = ignore_progress
) -> Generator[SourceFile]:
    """Have a video or image as a local file for the length of a with-block.

    A local file stays where it is. Everything else is written to a private folder that is removed afterwards, and what
    was downloaded is kept in the cache besides, for the next time.

    Args:
        source: an http or https URL, a reference of a plugin's scheme, a path, a file's bytes, or a file object opened
            for reading bytes.
        settings: what may be reached, how many bytes and seconds it may take, how high a video sites are asked for, and
            the cache.
        on_progress: told about the bytes of a download.

    Raises:
        QuestionError: the source is empty text, or nothing that can be read bytes from.
        SourceNotFoundError: there is no such file, or no video at the address.
        SourceRefusedError: no regular file, one outside `settings.allowed_roots`, or a URL that is not fetched.
        SourceTooLargeError: more than `settings.max_download_bytes`.
        DownloadError: the site or the network failed, or took longer than `settings.download_timeout`.
        StorageError: the temp folder could not be written.
        SourceError: a file object could not be read.
    """
    if isinstance(source, str):
        reference = source.strip()
        if not reference:
            raise QuestionError("the reference to a video or image is empty", hint="Give a path or a URL.")
        if plugged := plugged_source(reference, settings):
            with private_folder(plugged.name) as folder:
                path = folder / "source"
                with plugged.opened(settings, on_progress) as stream:
                    digest = _copy(stream, path, plugged.name, settings.max_download_bytes)
                yield SourceFile(path, plugged.name, digest=digest)
            return
        if scheme_of(reference):
            check_url(reference, settings)
            name = url_name(reference)
            # What fetches takes a while to import, and most sources are files.
            from video_tool.sources.cache import open_download

            with open_download(reference, name, settings, on_progress) as download:
                yield SourceFile(download.path, name, download.from_cache, download.warnings)
            return
        check_path(source)
        source = Path(source)
    if isinstance(source, Path):
        yield _local_file(source, settings)
        return
    stream, name = _as_stream(source)
    with private_folder(name) as folder:
        path = folder / "source"
        digest = _copy(stream, path, name, settings.max_download_bytes)
        yield SourceFile(path, name, digest=digest)


def _local_file(path: Path, settings: Settings) -> SourceFile:
    name = one_line(path.name)
    shown = redact_text(str(path))  # a URL in a Path, or one mistyped, is shown here too
    is_url = str(path).startswith(("http:/", "https:/"))
    try:
        path = check_file(path.expanduser().absolute(), shown, settings)
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise SourceRefusedError(
                f"{shown} is {_kind(mode)}, not a file", hint="Give the path of a video or image file."
            )
        path.open("rb").close()
    except SourceRefusedError:
        raise
    except PermissionError as error:
        raise SourceRefusedError(
            f"{shown} can't be read: permission denied", hint="Check the rights on the file and its folders."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:  # no such home; a null character in the path
        raise SourceNotFoundError(
            f"there is no file {shown}",
            hint="Pass URLs as text, not as a Path."
            if is_url
            else "Check the path; relative ones start at the working directory.",
        ) from (None if is_url else error)
    return SourceFile(path, name)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _as_stream(source: Any) -> tuple[BinaryIO, str]:
    if isinstance(source, bytes):
        return io.BytesIO(source), "bytes"
    if not callable(getattr(source, "read", None)):
        raise QuestionError(
            f"{type(source).__name__} is no reference to a video or image",
            hint="Give a path, a URL, bytes, or a file object opened with mode 'rb'.",
        )
    name = getattr(source, "name", None)  # of an open file; a number where it was opened by descriptor
    return source, one_line(Path(name).name) if isinstance(name, str) and name else "file object"


def _copy(stream: BinaryIO, path: Path, name: str, max_bytes: int) -> str:
    """Writes what the stream holds to a file, and returns a digest of it."""
    copied, content = 0, sha256()
    try:
        with path.open("wb") as file:
            while chunk := _read(stream, name):
                check()
                copied += len(chunk)
                if copied > max_bytes:
                    raise too_large(name, max_bytes)
                file.write(chunk)
                content.update(chunk)
    except VideoToolError:  # many are OSErrors, too
        raise
    except OSError as error:
        raise unwritable(name) from error
    return content.hexdigest()


def _read(stream: Any, name: str) -> bytes:
    try:
        chunk = stream.read(_CHUNK)
    except SourceError:  # of what a plugin opened
        raise
    except OSError as error:
        raise SourceError(
            f"{name} can't be read: {error.strerror or type(error).__name__}", hint="Save it and pass the path."
        ) from error
    except ValueError as error:  # a closed file; text mode on what is no text
        raise QuestionError(
            f"the file object {name} can't be read as bytes",
            hint="Keep it open until the answer is there, and open it with mode 'rb'.",
        ) from error
    if isinstance(chunk, str):
        raise QuestionError(f"the file object {name} was opened as text", hint="Open it with mode 'rb'.")
    return chunk
