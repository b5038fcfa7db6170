"""Which references may be opened or fetched at all, decided before anything is touched."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from video_tool.errors import SourceRefusedError
from video_tool.sources.naming import redact

# One letter is a Windows drive, and a colon alone may be part of a file's name.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://|(data|file|javascript):", re.IGNORECASE)


def scheme_of(reference: str) -> str | None:
    """Return the URL scheme of a reference in lower case, or None for a path."""
    found = _SCHEME.match(reference)
    return (found[1] or found[2]).lower() if found else None


def check_url(url: str) -> None:
    """Check that a URL may be fetched.

    Raises:
        SourceRefusedError: another scheme than http and https, no host, or a URL that two readers may read differently.
    """
    scheme = scheme_of(url)
    if scheme not in ("http", "https"):
        raise SourceRefusedError(
            f"{redact(url)} is refused: only http and https URLs are fetched, not {scheme}",
            hint="Pass a file as a plain path, without a scheme, or its content as bytes."
            if scheme in ("file", "data")
            else "Give an http or https URL, or download the file yourself and pass its path.",
        )
    if re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise SourceRefusedError(
            f"{redact(url)} is refused: a URL holds no spaces, control characters or backslashes",
            hint="Percent-encode them: a space is %20.",
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")  # a label that is empty or too long
    except ValueError as error:
        raise SourceRefusedError(
            f"{redact(url)} is refused: its host or port is malformed", hint="Check the part between // and the next /."
        ) from error
    if not host:
        raise SourceRefusedError(
            f"{redact(url)} is refused: it names no host", hint="Write it in full, like https://example.org/video.mp4."
        )


def check_path(reference: str) -> None:
    """Check that text without a URL scheme may be a path.

    Raises:
        SourceRefusedError: it begins with a dash, as an option that went astray does.
    """
    if reference.startswith("-"):
        raise SourceRefusedError(
            "a file name that begins with '-' is refused: it may be an option in the wrong place",
            hint="If it is a file, write its folder before it: ./-name.mp4.",
        )
