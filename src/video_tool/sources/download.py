"""Fetching a URL with yt-dlp: its options, and its errors in our words. Nothing else translates them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, RequestError, TransportError
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnavailableVideoError, UnsupportedError

from video_tool.errors import DownloadError, SourceError, SourceNotFoundError, SourceRefusedError
from video_tool.progress import OnProgress, Progress
from video_tool.settings import Settings
from video_tool.sources.conditional import ConditionalYoutubeDL, NotModified
from video_tool.sources.failures import unwritable
from video_tool.sources.freshness import Freshness
from video_tool.sources.limits import Aborted, Limits
from video_tool.sources.naming import redact, redact_text

_SOCKET_TIMEOUT = 20.0
_SAVE_IT = "Download the file with what you may use, and pass its path."
_TRY_LATER = "Try again later; if it stays so, check the address and the network."

# What sites say through yt-dlp, which has no types for it. The first that matches counts.
_REFUSALS = re.compile(
    r"sign.?in|log.?in|private|password|cookies|captcha|not a bot|members|subscri|premium|purchase|paid|drm"
    r"|age.restrict|your country|geo.?restrict",
    re.IGNORECASE,
)
_LIVE = re.compile(r"live event|livestream|live stream|premiere|currently live|offline", re.IGNORECASE)
_NO_VIDEO = re.compile(r"format is not available|no video|no formats|no media", re.IGNORECASE)
_GONE = re.compile(
    r"unavailable|not available|no longer|removed|deleted|terminated|not (be )?found|not exist", re.IGNORECASE
)


@dataclass(frozen=True)
class Fetched:
    """A file that has come.

    Attributes:
        path: where it lies.
        freshness: how long it may be used again; None when it may not be kept.
    """

    path: Path
    freshness: Freshness | None


def fetch(
    url: str,
    folder: Path,
    name: str,
    settings: Settings,
    on_progress: OnProgress,
    known: Freshness | None = None,
) -> Fetched:
    """Download the video or image at `url` into `folder`.

    Args:
        url: an http or https URL of a file, or of a page of a site that yt-dlp knows.
        folder: an empty folder of our own.
        name: how errors and news call it.
        settings: the bytes and seconds that it may take, and the height in pixels that is preferred.
        on_progress: told about every block.
        known: what is known of a copy at hand, which spares the download if it still is what the server has.

    Raises:
        NotModified: it is; see `conditional`.
        SourceNotFoundError: nothing there, or no video in it.
        SourceRefusedError: the site wants a sign-in or sends a live stream.
        SourceTooLargeError: more than `settings.max_download_bytes`.
        DownloadError: the site or the network failed, or took longer than `settings.download_timeout`.
    """
    limits = Limits(name, settings)
    files: list[Path] = []
    info: dict[str, Any] = {}

    def on_block(state: dict[str, Any]) -> None:
        nonlocal info
        info = state["info_dict"]
        done, total = state.get("downloaded_bytes") or 0, state.get("total_bytes")
        limits.check_time()
        limits.check_bytes(max(done, total or 0))
        try:
            on_progress(Progress("download", name, done, total, "bytes"))
        except Exception as error:  # the caller's own, which yt-dlp would reword
            raise Aborted(error) from error

    options = _options(folder, settings) | {
        "progress_hooks": [on_block],
        "post_hooks": [lambda file: files.append(Path(file))],
        "match_filter": _refuse_live(url),
    }
    with _no_plugins():
        ydl = ConditionalYoutubeDL(options, limits, known)
    aborted = None
    with ydl:
        try:
            ydl.extract_info(url)
        except (SourceRefusedError, NotModified):
            raise
        except Aborted as abort:
            aborted = abort.error
        except Exception as error:
            raise translate(error, url, ydl.failure) from error
    if aborted is not None:
        raise aborted
    if not files:
        raise _no_video(redact(url))
    return Fetched(files[0], ydl.freshness(info))


def _options(folder: Path, settings: Settings) -> dict[str, Any]:
    height = f"[height<=?{settings.max_height}]"
    return {
        # Without `+` nothing has to be merged, which would take FFmpeg's program; sound is not needed.
        "format": f"bestvideo{height}/best{height}/worstvideo/worst",
        "paths": {"home": str(folder)},
        # No extension: decoding finds out what it is. yt-dlp would refuse a video called clip.php or clip.exe.
        "outtmpl": {"default": "source"},
        "final_ext": "unknown_video",
        "noplaylist": True,
        "playlist_items": "1",
        "lazy_playlist": True,
        "cachedir": False,
        "nopart": True,
        "updatetime": False,
        "fixup": "never",
        # Programs of others would fetch past our limits.
        "external_downloader": "native",
        "ffmpeg_location": str(folder / "no-ffmpeg"),
        "skip_unavailable_fragments": False,
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 1,
        "socket_timeout": min(_SOCKET_TIMEOUT, settings.download_timeout),
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Silence(),
    }


class _Silence:
    # What yt-dlp has to say holds URLs with their secrets; errors come as exceptions.
    def debug(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


@contextmanager
def _no_plugins() -> Generator[None]:
    # Whatever package of the name yt_dlp_plugins lies on the path would be run.
    before = os.environ.get("YTDLP_NO_PLUGINS")
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("YTDLP_NO_PLUGINS", None)
        else:
            os.environ["YTDLP_NO_PLUGINS"] = before


def _refuse_live(url: str) -> Callable[..., None]:
    def check(info: dict[str, Any], *, incomplete: bool = False) -> None:  # noqa: ARG001
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming", "post_live"):
            raise _live(redact(url))  # not Aborted: here yt-dlp would make a new one of its own

    return check


# ── Errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _live(shown: str) -> SourceError:
    return SourceRefusedError(
        f"{shown} is a live stream, which has no end", hint="Ask again when the recording is there."
    )


def _no_video(shown: str) -> SourceError:
    return SourceNotFoundError(
        f"there is no video at {shown}", hint="Give the address of a video's own page, or of a video or image file."
    )


def translate(error: Exception, url: str, failure: RequestError | None = None) -> SourceError:
    """Return an error of yt-dlp's in our words.

    Args:
        error: what `extract_info` raised.
        url: what it was asked for; the parts that may be secret are not repeated.
        failure: what went wrong on the network before that, in case `error` says nothing of it.
    """
    shown = redact(url)
    causes = list(_causes(error))
    if len(causes) == 1 and failure is not None:
        causes.append(failure)
    for cause in causes:
        if isinstance(cause, HTTPError):
            return _of_status(cause.status, shown)
        if isinstance(cause, UnavailableVideoError):  # the OSErrors of the network come as others
            return unwritable(shown)
        if isinstance(cause, UnsupportedError):
            return _no_video(shown)
        if isinstance(cause, CertificateVerifyError):
            return DownloadError(
                f"the certificate of {shown} can't be trusted", hint="Check the address, and this machine's clock."
            )
        if isinstance(cause, TransportError):
            return DownloadError(f"{shown} can't be reached", hint=_TRY_LATER, retryable=True)
        if isinstance(cause, RequestError):
            return SourceRefusedError(
                f"{shown} leads to an address that is not fetched, such as a file: URL", hint=_SAVE_IT
            )
    said = next((cause for cause in causes if isinstance(cause, ExtractorError)), None)
    if said is not None:
        return _of_site(said, shown, url)
    if "unable to write data" in str(error) or "unable to open for writing" in str(error):
        return unwritable(shown)
    if "any data blocks" in str(error):
        return SourceNotFoundError(f"there is nothing at {shown}: 0 bytes came", hint="Check the address.")
    broke_off = "[download]" in str(error)
    return DownloadError(
        f"the download of {shown} broke off" if broke_off else f"{shown} can't be downloaded",
        hint=_TRY_LATER if broke_off else "Bring yt-dlp up to date: pip install --upgrade yt-dlp.",
        retryable=broke_off,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # The error itself, then what yt-dlp caught on the way, which it keeps in attributes of its own.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        exc_info = getattr(error, "exc_info", None) or (None, None, None)
        kept = (getattr(error, "cause", None), exc_info[1], error.__cause__, error.__context__)
        error = next((e for e in kept if isinstance(e, BaseException) and id(e) not in seen), None)


def _of_status(status: int, shown: str) -> SourceError:
    answer = f"{shown} answers {status}"
    if status in (404, 410):
        return SourceNotFoundError(f"{answer}: there is nothing at this address", hint="Check the address.")
    if status in (401, 402, 403, 407, 451):
        return SourceRefusedError(f"{answer}: the server does not give it to us", hint=_SAVE_IT)
    if status < 400:
        return DownloadError(
            f"{shown} redirects in a circle, or to where nothing is fetched", hint="Check the address."
        )
    retryable = status >= 500 or status in (408, 425, 429)
    return DownloadError(answer, hint=_TRY_LATER if retryable else "Check the address.", retryable=retryable)


def _of_site(error: ExtractorError, shown: str, url: str) -> SourceError:
    said = error.orig_msg
    if isinstance(error, GeoRestrictedError) or _REFUSALS.search(said):
        return SourceRefusedError(f"{shown} is not open to everybody{_quote(error, url)}", hint=_SAVE_IT)
    if _LIVE.search(said):
        return _live(shown)
    if _NO_VIDEO.search(said):
        return _no_video(shown)
    if _GONE.search(said):
        return SourceNotFoundError(f"{shown} is gone or was never there{_quote(error, url)}", hint="Check the address.")
    return DownloadError(
        f"{shown} can't be downloaded{_quote(error, url)}",
        hint="The site may have changed: bring yt-dlp up to date with pip install --upgrade yt-dlp.",
    )


def _quote(error: ExtractorError, url: str) -> str:
    # Only what a site says on purpose; and not a word of it if it repeats what the address keeps secret.
    parts = urlsplit(url)
    secrets = re.findall(r"[^&=:;]{4,}", "&".join((parts.netloc.rpartition("@")[0], parts.query, parts.fragment)))
    if not error.expected or not error.orig_msg or any(secret in error.orig_msg for secret in secrets):
        return ""
    return f": {redact_text(error.orig_msg.splitlines()[0].rstrip('.'))}"
