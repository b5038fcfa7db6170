"""What the tests of all integrations keep to: nothing but this machine is reached, telemetry of frameworks included."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

_reached: list[str] = []


def pytest_configure() -> None:
    """Before any framework is imported: some look at the environment then."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.addaudithook(_keep_to_loopback)


def _keep_to_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else "localhost"  # else a socket of this machine
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in {None, "", "localhost", "127.0.0.1", "::1"}:
        _reached.append(f"{event} {host}")
        raise OSError(f"tests reach nothing but this machine, not {host}")


@pytest.fixture(autouse=True)
def nothing_but_loopback() -> Generator[None]:
    """Frameworks swallow errors of their telemetry: whoever tried anything is told here."""
    yield
    tried = list(_reached)
    _reached.clear()
    assert not tried
