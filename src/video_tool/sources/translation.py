"""yt-dlp's errors in our words. Nothing else translates them.

What yt-dlp says may hold addresses with what is secret in them. So only sentences that sites wrote on purpose are
quoted, redacted, and the errors that come out have no cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, RequestError, TransportError
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnavailableVideoError, UnsupportedError

from video_tool.errors import DownloadError, SourceError, SourceNotFoundError, SourceRefusedError
from video_tool.sources.failures import TRY_LATER, retry_after_of, unreachable, unwritable
from video_tool.sources.naming import redact, redact_text

_PAUSE = 60.0
"""Seconds to wait when a server says "too many requests" and not for how long: a minute is the usual window."""

_SAVE_IT = "Download the file with what you may use, and pass its path."
_GIVE_COOKIES = (
    "Sign in with a browser, export its cookies for the site in Netscape's format, "
    "and set VIDEO_TOOL_COOKIES_FILE to that file."
)
_CHECK_ADDRESS = "Check the address."


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
        known = _of_type(cause, shown)
        if known is not None:
            return known
    said = next((cause for cause in causes if isinstance(cause, ExtractorError)), None)
    if said is not None:
        return _of_site(said, shown, url)
    if "unable to write data" in str(error) or "unable to open for writing" in str(error):
        return unwritable(shown)
    if "DRM protected" in str(error):
        return _protected(shown, "")
    if "ffmpeg could not be found" in str(error):
        return SourceRefusedError(f"{shown} is encrypted, or sent as only a live stream is", hint=_SAVE_IT)
    if "any data blocks" in str(error) or "file is empty" in str(error):
        return SourceNotFoundError(f"there is nothing at {shown}: 0 bytes came", hint=_CHECK_ADDRESS)
    broke_off = "[download]" in str(error)
    return DownloadError(
        f"the download of {shown} broke off" if broke_off else f"{shown} can't be downloaded",
        hint=TRY_LATER if broke_off else "Bring yt-dlp up to date: pip install --upgrade yt-dlp.",
        retryable=broke_off,
    )


def live(shown: str) -> SourceError:
    """Return the error for a stream that is still going on."""
    return SourceRefusedError(
        f"{shown} is a live stream, which has no end", hint="Ask again when the recording is there."
    )


def no_video(shown: str) -> SourceError:
    """Return the error for a page without a video."""
    return SourceNotFoundError(
        f"there is no video at {shown}", hint="Give the address of a video's own page, or of a video or image file."
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


# ── By type and status ────────────────────────────────────────────────────────────────────────────────────────────────


def _of_type(cause: BaseException, shown: str) -> SourceError | None:
    if isinstance(cause, HTTPError):
        return _of_status(cause.status, cause.response.headers, shown)
    if isinstance(cause, UnavailableVideoError):  # the OSErrors of the network come as others
        return unwritable(shown)
    if isinstance(cause, UnsupportedError):
        return SourceNotFoundError(
            f"there is no video at {shown}, or its site is not supported",
            hint="Give the address of a video's own page, or of a video or image file. "
            "A site may be new to yt-dlp: pip install --upgrade yt-dlp.",
        )
    if isinstance(cause, CookieLoadError):
        return SourceError(
            "the file of VIDEO_TOOL_COOKIES_FILE holds no cookies", hint="It has to be in Netscape's format."
        )
    if isinstance(cause, CertificateVerifyError):
        return DownloadError(
            f"the certificate of {shown} can't be trusted", hint="Check the address, and this machine's clock."
        )
    if isinstance(cause, TransportError):
        return unreachable(shown)
    if isinstance(cause, RequestError):
        return _not_fetched(shown)
    return None


def _of_status(status: int, headers: Any, shown: str) -> SourceError:
    answer = f"{shown} answers {status}"
    if status in (404, 410):
        return SourceNotFoundError(f"{answer}: there is nothing at this address", hint=_CHECK_ADDRESS)
    if status in (401, 402, 403, 407):
        return SourceRefusedError(
            f"{answer}: the server does not give it to us", hint=f"{_GIVE_COOKIES} Or: {_SAVE_IT}"
        )
    if status == 451:
        return SourceRefusedError(f"{answer}: it is withheld for legal reasons", hint=_SAVE_IT)
    if status < 400:
        scheme = urlsplit(headers.get("Location") or "").scheme
        if scheme not in ("", "http", "https"):
            return _not_fetched(shown)
        return DownloadError(f"{shown} redirects in a circle, or more than 10 times", hint=_CHECK_ADDRESS)
    if status == 429:
        return _rate_limited(answer, retry_after_of(headers) or _PAUSE)
    retryable = status >= 500 or status in (408, 425)
    return DownloadError(
        answer,
        hint=TRY_LATER if retryable else _CHECK_ADDRESS,
        retryable=retryable,
        retry_after=retry_after_of(headers) if retryable else None,
    )


def _not_fetched(shown: str) -> SourceError:
    return SourceRefusedError(
        f"{shown} leads to an address that is not fetched, such as a file: URL: only http and https are", hint=_SAVE_IT
    )


# ── By what sites say ─────────────────────────────────────────────────────────────────────────────────────────────────


def _rate_limited(what: str, seconds: float = _PAUSE) -> SourceError:
    return DownloadError(
        f"{what}: too many requests came from here",
        hint=f"Ask again in {seconds:.0f} seconds, and less often.",
        retryable=True,
        retry_after=seconds,
    )


def _wants_sign_in(shown: str, said: str) -> SourceError:
    return SourceRefusedError(f"{shown} wants a sign-in or a check for bots{said}", hint=_GIVE_COOKIES)


def _private(shown: str, said: str) -> SourceError:
    return SourceRefusedError(
        f"{shown} is private{said}", hint=f"Ask its owner for access; if you have it: {_GIVE_COOKIES}"
    )


def _elsewhere(shown: str, said: str) -> SourceError:
    return SourceRefusedError(
        f"{shown} is not shown in this country{said}",
        hint="Try another copy, or a proxy in a country where it is shown: HTTPS_PROXY.",
    )


def _paid(shown: str, said: str) -> SourceError:
    return SourceRefusedError(
        f"{shown} is for subscribers{said}", hint=f"If you are one: {_GIVE_COOKIES} Otherwise try another copy."
    )


def _protected(shown: str, said: str) -> SourceError:
    return SourceRefusedError(f"{shown} is protected by DRM{said}", hint="Try another copy.")


def _gone(shown: str, said: str) -> SourceError:
    return SourceNotFoundError(f"{shown} is gone or was never there{said}", hint=_CHECK_ADDRESS)


# What sites say through yt-dlp, which has hardly any types for it. The first that matches counts.
_SAYINGS: tuple[tuple[str, Callable[[str, str], SourceError]], ...] = (
    (r"rate.?limit|too many requests|429", lambda shown, _: _rate_limited(shown)),
    (r"\bdrm\b", _protected),
    (r"your country|your (region|location)|geo.?(restrict|block)|not available (in|from) your", _elsewhere),
    (r"not a bot|captcha|age.restrict|confirm your age|inappropriate for some", _wants_sign_in),
    (r"members|subscri|premium|purchase|paid|\brent", _paid),
    (r"private", _private),
    (r"sign.?in|log.?in|password|cookies|registered users|authenticat", _wants_sign_in),
    (
        r"live event|livestream|live stream|premiere|currently live|\bis live\b|offline",
        lambda shown, _: live(shown),
    ),
    (r"format is not available|no video|no formats|no media", lambda shown, _: no_video(shown)),
    (
        r"unavailable|not available|no longer|removed|deleted|terminated|not (be )?found|not exist",
        _gone,
    ),
)


def _of_site(error: ExtractorError, shown: str, url: str) -> SourceError:
    quoted = _quote(error, url)
    if isinstance(error, GeoRestrictedError):
        return _elsewhere(shown, quoted)
    for saying, make in _SAYINGS:
        if re.search(saying, error.orig_msg, re.IGNORECASE):
            return make(shown, quoted)
    return DownloadError(
        f"{shown} can't be downloaded{quoted}",
        hint="The site may have changed: bring yt-dlp up to date with pip install --upgrade yt-dlp.",
    )


def _quote(error: ExtractorError, url: str) -> str:
    # Only what a site says on purpose; and not a word of it if it repeats what the address keeps secret.
    parts = urlsplit(url)
    secrets = re.findall(r"[^&=:;]{4,}", "&".join((parts.netloc.rpartition("@")[0], parts.query, parts.fragment)))
    if not error.expected or not error.orig_msg or any(secret in error.orig_msg for secret in secrets):
        return ""
    return f": {redact_text(error.orig_msg.splitlines()[0].rstrip('.'))}"
