"""Looking hosts up, without waiting longer than one likes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
"""Returns all addresses of a host, as text, for a port. It may block, and raise OSError."""


def resolve(host: str, port: int) -> list[str]:
    """Return all addresses of a host, as the system finds them, the one to try first in front.

    Raises:
        OSError: there is no such host, or nobody to ask.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def look_up(host: str, port: int, resolver: Resolver) -> Sequence[str]:
    """Call a resolver in a thread that nobody waits for: a lookup can't be broken off, waiting for it can.

    Raises:
        OSError: the resolver did.
        UnicodeError: the host can't be a name.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def settle(addresses: Sequence[str], error: Exception | None) -> None:
        if answer.done():
            return
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(addresses)

    def ask() -> None:
        addresses: Sequence[str] = ()
        failed = None
        try:
            addresses = resolver(host, port)
        except (OSError, UnicodeError) as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, addresses, failed)

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    return await answer
