"""Fetching a URL with yt-dlp, under a fixed set of options."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from video_tool.cancellation import check, on_cancel
from video_tool.errors import SourceError, SourceRefusedError
from video_tool.progress import OnProgress, Progress
from video_tool.settings import Settings
from video_tool.sources.conditional import ConditionalYoutubeDL, NotModified
from video_tool.sources.egress import EgressProxy
from video_tool.sources.failures import too_large
from video_tool.sources.freshness import Freshness
from video_tool.sources.naming import redact
from video_tool.sources.translation import live, no_video, translate
from video_tool.sources.ytdlp import Aborted

_SOCKET_TIMEOUT = 20.0  # seconds
_BLOCK = 1 << 16  # bytes
_COOKIES_HEADER = re.compile(r"# (Netscape )?HTTP Cookie File")
_COOKIE = re.compile(r"(#HttpOnly_)?[^#\t][^\t]*(\t[^\t]*){3}\t(\d+(\.\d+)?)?(\t[^\t]*){2}|#(?!HttpOnly_).*|\s*")


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
        folder: an empty folder of our own; it never holds more than `settings.max_download_bytes` and 1 MiB.
        name: how errors and news call it.
        settings: which hosts may be reached, the bytes and seconds that it may take, the height in pixels that is
            preferred, and cookies.
        on_progress: told about every block.
        known: what is known of a copy at hand, which spares the download if it still is what the server has.

    Raises:
        NotModified: it is; see `conditional`.
        SourceNotFoundError: nothing there, or no video in it.
        SourceRefusedError: a host that may not be reached, or the site wants a sign-in or sends a live stream.
        SourceTooLargeError: more than `settings.max_download_bytes`.
        DownloadError: the site or the network failed, or took longer than `settings.download_timeout`.
        SourceError: the file of cookies can't be read, or the folder not be written.
        CancelledError, DeadlineError: the work around is to stop.
    """
    files: list[Path] = []
    info: dict[str, Any] = {}

    def on_block(state: dict[str, Any]) -> None:
        nonlocal info
        info = state["info_dict"]
        done, total = state.get("downloaded_bytes") or 0, state.get("total_bytes")
        if max(_bytes_to_come(folder), total or 0) > settings.max_download_bytes:
            raise Aborted(too_large(name, settings.max_download_bytes))
        try:
            on_progress(Progress("download", name, done, total, "bytes", state.get("speed")))
        except Exception as error:  # the caller's own, which yt-dlp would reword
            raise Aborted(error) from error

    options = _options(folder, settings) | {
        "progress_hooks": [on_block],
        "post_hooks": [lambda file: files.append(Path(file))],
        "match_filter": _refuse_live(url),
    }
    with EgressProxy(name, settings) as proxy:
        with _no_plugins():
            options |= {"proxy": proxy.url}
            ydl = ConditionalYoutubeDL(options, name, settings.max_download_bytes, known)
        with on_cancel(proxy.stop), ydl, _Failure() as caught:
            ydl.extract_info(url)
    failed = caught.error
    if failed:
        check()
    if isinstance(failed, Aborted):
        raise failed.error
    if proxy.stopped:
        raise proxy.stopped
    if isinstance(failed, SourceRefusedError | NotModified):  # a live stream; nothing new
        raise failed
    if failed:
        raise proxy.failure or translate(failed, url, ydl.failure)
    if not files:
        raise no_video(redact(url))
    return Fetched(files[0], ydl.freshness(info))


def _bytes_to_come(folder: Path) -> int:
    # What lies there, and each fragment once more: it is copied to the end of the others before it goes.
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size * (2 if "-Frag" in entry.name else 1) for entry in entries)


def _options(folder: Path, settings: Settings) -> dict[str, Any]:
    height = f"[height<=?{settings.max_height}]"
    return {
        # Without `+` nothing has to be merged, which would take FFmpeg's program; sound is not needed.
        "format": f"bestvideo{height}/best{height}/worstvideo/worst",
        "paths": {"home": str(folder)},
        # No extension: decoding finds out what it is. yt-dlp would refuse a video called clip.php or clip.exe.
        "outtmpl": {"default": "source"},
        "final_ext": "unknown_video",
        "compat_opts": set[str](),  # `allow-unsafe-ext` would be one
        "noplaylist": True,
        "playlist_items": "1",
        "lazy_playlist": True,
        "cachedir": False,
        "nopart": True,
        "updatetime": False,
        "fixup": "never",
        "enable_file_urls": False,
        "remote_components": [],
        # Programs of others would fetch past the proxy.
        "external_downloader": "native",
        "ffmpeg_location": str(folder / "no-ffmpeg"),
        "skip_unavailable_fragments": False,
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 1,
        "socket_timeout": min(_SOCKET_TIMEOUT, settings.download_timeout),
        # The ceiling is looked at after each block, which yt-dlp would let grow to 4 MiB.
        "buffersize": _BLOCK,
        "noresizebuffer": True,
        "cookiefile": _cookies(settings.cookies_file),
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Silence(),
    }


def _cookies(path: Path | None) -> io.StringIO | None:
    # A copy: yt-dlp writes to the file in the end. And checked: it prints lines that it does not understand.
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SourceError(
            f"the file of cookies {path} can't be read: {error.strerror}",
            hint="Correct VIDEO_TOOL_COOKIES_FILE, or unset it.",
        ) from error
    first, *others = text.splitlines() or [""]
    if not _COOKIES_HEADER.match(first) or not all(_COOKIE.fullmatch(line) for line in others):
        raise SourceError(
            f"the file of cookies {path} is not in Netscape's format",
            hint="Its first line is '# Netscape HTTP Cookie File', every other one holds 7 fields between tabs.",
        )
    return io.StringIO(text)


class _Failure:
    # Keeps an error until its handler has been left: what is raised in a handler has the error with it for good,
    # and the texts of yt-dlp's errors may hold secrets.
    error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


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
            raise live(redact(url))  # not Aborted: here yt-dlp would make a new one of its own

    return check
