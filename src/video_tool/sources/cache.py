"""Downloads through the cache: what is fresh is not fetched, and what several ask for at once is fetched once.

No cache for HTTP libraries would do: yt-dlp brings its own networking, and what is asked for is a video, which may take
a page, a playlist and hundreds of segments. So whole downloads are kept: `freshness` has the rules, `store` the folder.

Where the folder can't be used (read-only, full, another user's, without locks), downloads go on without it and say so
in a warning.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from filelock import Timeout

from video_tool.errors import DeadlineError, DownloadError, SourceNotFoundError, SourceRefusedError, StorageError
from video_tool.progress import OnProgress, Progress
from video_tool.settings import Settings
from video_tool.sources.entries import Entry
from video_tool.sources.failures import too_large
from video_tool.sources.freshness import digest
from video_tool.sources.naming import redact
from video_tool.sources.scratch import private_folder
from video_tool.sources.store import PATIENCE, Store

if TYPE_CHECKING:
    from video_tool.sources.download import Fetched

_DECISIVE = {"max_height", "allowed_domains", "allowed_hosts", "allow_private_networks"}
"""Settings that, with cookies, decide which file an address leads to, and to whom: what was fetched under one policy is
not handed to those who ask under another."""


_LEAST_SECONDS = 0.1
"""For a download whose turn came in the last moment: it fails in a way that says so."""


@dataclass(frozen=True)
class Download:
    """A fetched file.

    Attributes:
        path: where it lies.
        from_cache: whether it was fetched earlier.
        warnings: what the user should know.
    """

    path: Path
    from_cache: bool = False
    warnings: tuple[str, ...] = ()


def store_of(settings: Settings) -> Store:
    """Return the store that the settings name, which need not be there yet.

    Raises:
        OSError: the user has no home folder to put it in.
    """
    try:
        folder = settings.cache_dir.expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(2, "there is no home folder") from error
    patience = min(PATIENCE, settings.download_timeout)
    return Store(folder.absolute() / "downloads", settings.cache_max_bytes, patience)


@contextmanager
def open_download(url: str, name: str, settings: Settings, on_progress: OnProgress) -> Generator[Download]:
    """Have what is at `url` as a local file for the length of a with-block.

    Args:
        url: an http or https URL that may be fetched.
        name: how errors and news call it.
        settings: the limits of a download, and of the cache; with `cache_max_bytes` of 0 the cache is left alone.
        on_progress: told about the bytes of a download; told once, all of them, when none is necessary.

    Raises:
        SourceError: as `fetch` does, and for a copy in the cache that is larger than `settings.max_download_bytes`.
        DownloadError: besides, when another process fetches it for longer than `settings.download_timeout`.
    """
    began = time.monotonic()
    warnings: tuple[str, ...] = ()
    if settings.cache_max_bytes:
        with ExitStack() as held:
            try:
                with _store_errors():
                    store = store_of(settings)
                    store.prepare()
                    folder = held.enter_context(store.work_folder())
                download = _Lookup(store, folder, url, name, settings, on_progress, began).run()
            except _UnusableError as error:
                warnings = (f"The cache can't be used ({error}); {name} was downloaded without it.",)
            else:
                yield download
                return
    with private_folder(name) as folder:
        from video_tool.sources.download import fetch

        fetched = fetch(url, folder, name, _for_the_time_left(settings, began), on_progress)
        yield Download(fetched.path, warnings=warnings)


def _for_the_time_left(settings: Settings, began: float) -> Settings:
    spent = round(time.monotonic() - began, 1)  # of waiting for others, mostly
    left = max(settings.download_timeout - spent, _LEAST_SECONDS)
    return settings.model_copy(update={"download_timeout": left}) if spent else settings


class _UnusableError(Exception):
    """The cache's folder fails, in few words."""


@contextmanager
def _store_errors() -> Generator[None]:
    try:
        yield
    except DeadlineError:  # an OSError, too
        raise
    except OSError as error:
        raise _unusable(error) from error


def _unusable(error: OSError) -> _UnusableError:
    return _UnusableError(error.strerror or type(error).__name__)


@dataclass
class _Lookup:
    """One request to the cache.

    Attributes:
        store: where downloads are kept.
        folder: of the store's, for this request alone.
        url: what is asked for.
        name: how errors and news call it.
        settings: the limits.
        on_progress: told about the bytes.
        began: `time.monotonic()` when the request came.
        asked: the same in seconds since 1970.
        kept: what was found, in its full size at `copy`; fresh or not.
    """

    store: Store
    folder: Path
    url: str
    name: str
    settings: Settings
    on_progress: OnProgress
    began: float
    asked: float = field(default_factory=time.time)
    kept: Entry | None = None

    @cached_property
    def key(self) -> str:
        """Names the request in the store, without telling the address."""
        decisive = self.settings.model_dump(mode="json", include=_DECISIVE)
        return digest(_canonical(self.url), json.dumps(decisive, sort_keys=True), _cookies(self.settings))

    @property
    def copy(self) -> Path:
        """Where what was found is linked to."""
        return self.folder / "copy"

    def run(self) -> Download:
        """Find the file or fetch it. Raises as `open_download`, and _UnusableError."""
        if self._is_at_hand():
            return self._hit()
        try:
            with ExitStack() as held:
                self._wait_for_turn(held)
                # Whoever had the turn before may have fetched the file.
                return self._hit() if self._is_at_hand() else self._fetch()
        except DownloadError as error:
            if self.kept is None or self.kept.freshness.must_revalidate or not error.retryable:
                raise
            age = duration(time.time() - self.kept.freshness.checked)
            return self._hit(f"{self.name} is a copy that was current {age} ago: {error.message}.")

    def _is_at_hand(self) -> bool:
        with _store_errors():
            entry = self.store.find(self.key)
            self.kept = entry if entry and self.store.check_out(self.key, entry, self.copy) else None
        return self.kept is not None and self.kept.freshness.holds(self.asked)

    def _hit(self, *warnings: str) -> Download:
        size = self.copy.stat().st_size
        if size > self.settings.max_download_bytes:
            raise too_large(self.name, self.settings.max_download_bytes)
        self.on_progress(Progress("download", self.name, size, size, "bytes"))
        return Download(self.copy, True, warnings)

    def _wait_for_turn(self, held: ExitStack) -> None:
        seconds = self.settings.download_timeout
        try:
            held.enter_context(self.store.turn(self.key, seconds))
        except Timeout as error:
            raise DownloadError(
                f"{self.name} was not downloaded within {seconds:g} seconds by somebody else who is at it",
                hint="Try again later, or raise VIDEO_TOOL_DOWNLOAD_TIMEOUT.",
                retryable=True,
            ) from error
        except DeadlineError:
            raise
        except OSError as error:
            raise _unusable(error) from error

    def _fetch(self) -> Download:
        from video_tool.sources.conditional import NotModified
        from video_tool.sources.download import fetch

        folder = self.folder / "download"
        with _store_errors():
            self.store.sweep()
            folder.mkdir()
        known = self.kept.freshness if self.kept else None
        settings = _for_the_time_left(self.settings, self.began)
        warnings: list[str] = []
        fetched, renewed = None, None
        try:
            fetched = fetch(self.url, folder, self.name, settings, self.on_progress, known)
        except NotModified as answer:
            renewed = answer.freshness
        except StorageError as error:
            raise _UnusableError("it takes no more files") from error
        except (SourceNotFoundError, SourceRefusedError):
            with self._change(warnings):
                self.store.forget(self.key)
            raise
        with self._change(warnings):
            if fetched:
                self._keep(fetched)
            elif self.kept:
                self.store.renew(self.key, self.kept.model_copy(update={"freshness": renewed}), self.folder)
        return Download(fetched.path, warnings=tuple(warnings)) if fetched else self._hit(*warnings)

    def _keep(self, fetched: Fetched) -> None:
        if fetched.freshness and self.store.keep(self.key, redact(self.url), fetched.path, fetched.freshness):
            return
        self.store.forget(self.key)

    @contextmanager
    def _change(self, warnings: list[str]) -> Generator[None]:
        """For changes to the store without which the download is as good."""
        try:
            yield
        except DeadlineError:
            raise
        except OSError as error:
            warnings.append(f"{self.name} could not be kept in the cache ({_unusable(error)}).")


def duration(seconds: float) -> str:
    """Return a number of seconds in the unit that suits it, such as `3 min`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def _cookies(settings: Settings) -> str:
    try:
        return settings.cookies_file.read_text(errors="replace") if settings.cookies_file else ""
    except OSError:  # which fetching tells about
        return ""


def _canonical(url: str) -> str:
    # What is after # stays: there are sites that name the video there.
    parts = urlsplit(url)
    scheme, (login, at, host) = parts.scheme.lower(), parts.netloc.rpartition("@")
    host = host.lower().removesuffix({"http": ":80", "https": ":443"}.get(scheme, ":"))
    return urlunsplit((scheme, login + at + host, parts.path or "/", parts.query, parts.fragment))
