"""How long a download may be used again without asking its server, and how the server is asked then.

One rule, after RFC 9111, "HTTP Caching", for a cache of one user's own:

- What the server says of a file counts: `no-store` keeps it out of the cache, `no-cache` has the server asked each
  time, `max-age` (less `Age`), or else `Expires`, says how long it is fresh.
- A server that says nothing is not asked again for ten minutes: follow-up questions come within that.
- After that it is asked whether the file has changed, with If-None-Match and If-Modified-Since (RFC 9110, section 13);
  304 makes the copy fresh again, anything else replaces it.
- The video of a page or a playlist is fresh for ten minutes, too, however long the servers say: they speak of a text,
  or of an address that a page hands out for a while. After that it is fetched anew.
- When the server can't be reached, the copy is used all the same and the answer carries a warning (RFC 9111, section
  4.2.4): an agent is helped more by an answer about a file of some minutes ago than by none. Not so where the server
  says `no-cache` or `must-revalidate`; and what it says is gone or not for us is forgotten.
"""

from __future__ import annotations

import hashlib
import time
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.request import parse_http_list

from pydantic import BaseModel, ConfigDict

DEFAULT_LIFETIME = 600.0
"""Seconds that a file is fresh for whose server does not say."""

_LONGEST = 1 << 31
"""Seconds that a larger number stands for (RFC 9111, section 1.2.2)."""


class Freshness(BaseModel):
    """What is known of how current a file is.

    Attributes:
        checked: when its server last said that this is the file, in seconds since 1970.
        lifetime: seconds from then on for which it is not asked again.
        must_revalidate: whether the file may not be used beyond that, not even when the server can't be reached.
        etag: the header of that name.
        last_modified: the header of that name.
        origin: the digest of the address that sent the file, redirects followed; None for the video of a page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checked: float
    lifetime: float = DEFAULT_LIFETIME
    must_revalidate: bool = False
    etag: str | None = None
    last_modified: str | None = None
    origin: str | None = None

    @classmethod
    def of_page(cls) -> Self:
        """What is known of a video that a page led to just now."""
        return cls(checked=time.time())

    @classmethod
    def of_file(cls, url: str, headers: Message) -> Self | None:
        """Read what a server says of a file that it sends now.

        Args:
            url: the address that it came from in the end.
            headers: those of the response.

        Returns:
            None when the file may not be kept at all.
        """
        said = _directives(headers)
        if "no-store" in said:
            return None
        lifetime = _lifetime(said, headers)
        return cls(
            checked=time.time(),
            lifetime=DEFAULT_LIFETIME if lifetime is None else lifetime,
            must_revalidate="no-cache" in said or "must-revalidate" in said,
            etag=headers["ETag"],
            last_modified=headers["Last-Modified"],
            origin=digest(url),
        )

    def renewed(self, headers: Message) -> Self:
        """Return the same after a 304 with these headers: what they leave out stays as it was."""
        said = _directives(headers)
        lifetime = _lifetime(said, headers)
        changes: dict[str, object] = {"checked": time.time()}
        if said or lifetime is not None:
            changes["lifetime"] = DEFAULT_LIFETIME if lifetime is None else lifetime
            changes["must_revalidate"] = "no-cache" in said or "must-revalidate" in said
        if headers["ETag"]:
            changes["etag"] = headers["ETag"]
        if headers["Last-Modified"]:
            changes["last_modified"] = headers["Last-Modified"]
        return self.model_copy(update=changes)

    def holds(self, asked: float) -> bool:
        """Whether the file may be used without asking its server.

        Args:
            asked: when somebody asked for it, in seconds since 1970: what has been checked after that is current
                for them however short its lifetime, which lets those who ask at once share one download.
        """
        now = time.time()
        return self.checked <= now and (now < self.checked + self.lifetime or self.checked >= asked)

    def conditions(self) -> dict[str, str]:
        """Return the headers of a request for the file if it has changed; none where that can't be asked."""
        if self.origin is None:
            return {}
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


def digest(*parts: str) -> str:
    """Return the SHA-256 of texts: addresses hold secrets, so they are kept as nothing else."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _directives(headers: Message) -> dict[str, str]:
    listed = (part.partition("=") for part in parse_http_list(", ".join(headers.get_all("Cache-Control", []))))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in listed}


def _lifetime(said: dict[str, str], headers: Message) -> float | None:
    """Seconds from now on, 0 where the server is to be asked each time; None where it does not say."""
    if "no-cache" in said:
        return 0.0
    if "max-age" in said:
        return max(0.0, _seconds(said["max-age"]) - _seconds(headers["Age"]))
    if headers["Expires"]:
        expires, sent = _moment(headers["Expires"]), _moment(headers["Date"])
        if expires is None:  # such as the usual "0": it has expired
            return 0.0
        return max(0.0, expires - (time.time() if sent is None else sent) - _seconds(headers["Age"]))
    return None


def _seconds(text: str | None) -> float:
    return float(min(int(text[:20]), _LONGEST)) if text and text.isascii() and text.isdigit() else 0.0


def _moment(text: str | None) -> float | None:
    try:
        moment: datetime = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment.timestamp()
