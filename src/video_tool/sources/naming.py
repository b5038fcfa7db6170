"""What errors and answers call a reference: short, on one line, and without the secrets that a URL may carry."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_MAX_LENGTH = 200
_LONGEST_FILE_NAME = 60  # characters, which may take four bytes each of the 255 that file systems allow
_PARTS = re.compile(r"([^:]*):?(/*)([^/?#]*)([^?#]*)", re.DOTALL)
_HOST = re.compile(r"(\[[^]]*|[^:]*)\]?(:\d*)?", re.DOTALL)
_UNUSUAL = re.compile(r"[^\w.()+,=@ -]")
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s'\"<>]*")


def one_line(text: str) -> str:
    """Return `text` fit for a message: control characters escaped, the middle of very long text left out."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    if len(shown) > _MAX_LENGTH:
        half = _MAX_LENGTH // 2
        shown = f"{shown[:half]}…{shown[-half:]}"
    return shown


def redact(url: str) -> str:
    """Return `scheme://host:port/path` of a URL: signatures travel in queries, passwords before the host."""
    scheme, slashes, authority, path = _PARTS.match(url).groups()  # type: ignore[union-attr]  # it matches everything
    host = authority.rpartition("@")[2]
    if not slashes or not _HOST.fullmatch(host):
        return f"{one_line(scheme)}:{slashes}…"  # nothing but content, as in `data:`; or the beginning of a password
    return one_line(f"{scheme}:{slashes}{host}{path}")


def redact_text(text: str) -> str:
    """Return `text` on one line with every URL in it redacted."""
    return one_line(_URL_IN_TEXT.sub(lambda url: redact(url[0]), text))


def url_name(url: str) -> str:
    """Return the last segment of a URL's path, or its host where the path is empty."""
    parts = urlsplit(url)
    return one_line(unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or "")


def file_name(url: str) -> str:
    """Return what to call a file from `url`: no folder, hidden file or option, whatever the address says."""
    return _UNUSUAL.sub("_", url_name(url))[-_LONGEST_FILE_NAME:].lstrip(".- ") or "video"
