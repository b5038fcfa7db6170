"""What may be fetched and opened: the rules, each of which says how to allow what it refuses.

`check_url` and `check_file` are asked before anything is touched; `check_host` and `check_addresses` by the proxy, for
every connection that a download makes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import SourceRefusedError
from video_tool.settings import Settings
from video_tool.sources.addresses import address_of, canonical_host, is_metadata_service, use_of, use_of_name
from video_tool.sources.naming import one_line, redact, redact_text
from video_tool.sources.plugged import SOURCES

# One letter is a Windows drive, and a colon alone may be part of a file's name.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://|(data|file|javascript):", re.IGNORECASE)
_SMUGGLED = "__youtubedl_smuggle"  # how yt-dlp hands instructions from one of its extractors to another
_SYSTEM_FOLDERS = (Path("/proc"), Path("/dev"), Path("/sys"))


def scheme_of(reference: str) -> str | None:
    """Return the URL scheme of a reference in lower case, or None for a path."""
    found = _SCHEME.match(reference)
    return (found[1] or found[2]).lower() if found else None


# ── URLs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_url(url: str, settings: Settings) -> None:
    """Check that a URL may be fetched, as far as it shows without looking its host up.

    Raises:
        SourceRefusedError: another scheme than http and https, no host, one that is not public or not listed, or a URL
            that two readers may read differently.
    """
    scheme = scheme_of(url)
    if scheme not in ("http", "https"):
        *others, last = ("http", "https", *SOURCES.use(settings.plugins).offers)
        fetched = f"{', '.join(others)} and {last}"
        raise SourceRefusedError(
            f"{redact(url)} is refused: only {fetched} URLs are fetched, not {scheme}",
            hint="Pass a file as a plain path, without a scheme, or its content as bytes."
            if scheme in ("file", "data")
            else "Give an http or https URL, or download the file yourself and pass its path.",
        )
    if re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise SourceRefusedError(
            f"{redact(url)} is refused: a URL holds no spaces, control characters or backslashes",
            hint="Percent-encode them: a space is %20.",
        )
    if _SMUGGLED in url:
        raise SourceRefusedError(
            f"{redact(url)} is refused: what follows # would be instructions for yt-dlp", hint="Leave out that part."
        )
    host = _host_of(url)
    if host is None:
        raise SourceRefusedError(
            f"{redact(url)} is refused: its host or port is malformed", hint="Check the part between // and the next /."
        )
    if not host:
        raise SourceRefusedError(
            f"{redact(url)} is refused: it names no host", hint="Write it in full, like https://example.org/video.mp4."
        )
    check_host(host, settings)
    if address_of(host):
        check_addresses(host, (host,), settings)


def check_host(host: str, settings: Settings) -> None:
    """Check that the name of a host may be looked up and connected to.

    Args:
        host: a name or an address, canonical.
        settings: the hosts and domains that are listed.

    Raises:
        SourceRefusedError: it is not among the domains that are listed, or the name is not a public one.
    """
    shown = one_line(host)
    domains = settings.allowed_domains
    if domains is not None and not any(_is_within(host, domain) for domain in _canonical(domains)):
        raise SourceRefusedError(
            f"{shown} is refused: it is in none of the allowed domains",
            hint=f"Add the domain to VIDEO_TOOL_ALLOWED_DOMAINS, now {','.join(domains)!r}, or unset it.",
        )
    if host in _canonical(settings.allowed_hosts):
        return
    if is_metadata_service(host):
        raise _metadata_service(shown)
    use = use_of_name(host)
    if use and not settings.allow_private_networks:
        raise SourceRefusedError(f"{shown} is refused: the name is {use}", hint=_how_to_allow(shown))


def check_addresses(host: str, addresses: Sequence[str], settings: Settings) -> None:
    """Check that every address of a host may be connected to.

    Args:
        host: the name or address that was asked for, canonical.
        addresses: what it was found to be, as text.
        settings: the hosts that are listed, and whether private networks are open.

    Raises:
        SourceRefusedError: one of the addresses is not public.
    """
    if host in _canonical(settings.allowed_hosts):
        return
    shown = one_line(host)
    for text in addresses:
        address = address_of(text)
        use = "no address" if address is None else use_of(address)
        if is_metadata_service(text):
            raise _metadata_service(shown)
        if use and not settings.allow_private_networks:
            what = f"the address is {use}" if text == host else f"its address {one_line(text)} is {use}"
            raise SourceRefusedError(f"{shown} is refused: {what}, not public", hint=_how_to_allow(shown))


def _canonical(listed: Sequence[str]) -> Iterator[str]:
    for host in listed:
        try:
            yield canonical_host(host.strip("[]").removeprefix("*."))
        except ValueError:
            continue  # nothing that could be asked for is called so


def _is_within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _how_to_allow(host: str) -> str:
    return f"To allow it, add {host} to VIDEO_TOOL_ALLOWED_HOSTS, or set VIDEO_TOOL_ALLOW_PRIVATE_NETWORKS=true."


def _metadata_service(host: str) -> SourceRefusedError:
    return SourceRefusedError(
        f"{host} is refused: it is a cloud's metadata service, which hands out credentials",
        hint="To allow it, add it to VIDEO_TOOL_ALLOWED_HOSTS; allowing private networks is not enough.",
    )


def _host_of(url: str) -> str | None:
    # Canonical, empty for none, and None for a malformed one: the errors that tell so hold what may be secret.
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        return None if parts.netloc.count("@") > 1 else host and canonical_host(host)
    except ValueError:
        return None


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def check_file(path: Path, shown: str, settings: Settings) -> Path:
    """Check that a file may be opened, wherever symbolic links lead; says nothing on whether it is there.

    The video that comes with the package may always be opened: there is nothing in it to protect.

    Args:
        path: where it is said to be, absolute.
        shown: how errors call it.
        settings: the folders that are open.

    Returns:
        Where it is, without symbolic links.

    Raises:
        SourceRefusedError: it lies outside the folders that are open, or among the system's own.
        OSError, ValueError, RuntimeError: the path can't be followed.
    """
    real = path.resolve()
    places = (Path(os.path.normpath(path)), real)
    if any(place.is_relative_to(folder) for place in places for folder in _SYSTEM_FOLDERS):
        raise SourceRefusedError(
            f"{shown} is refused: what lies in /proc, /dev and /sys is not a file of anybody's",
            hint="Copy what is meant to another folder; there is no setting that allows this.",
        )
    if real == DEMO_VIDEO.resolve() or any(real.is_relative_to(root.resolve()) for root in settings.allowed_roots):
        return real
    raise SourceRefusedError(
        f"{shown} is refused: it lies outside the folders that may be read",
        hint=f"To allow it, set VIDEO_TOOL_ALLOWED_ROOTS to its folder, {redact_text(str(real.parent))}, "
        f"or to several joined by '{os.pathsep}'.",
    )
