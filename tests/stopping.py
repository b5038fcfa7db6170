"""Work that is cancelled while it is known to be in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from video_tool import CancelScope
from video_tool.errors import CancelledError

SECONDS = 60.0
"""What nothing here takes; whatever hangs fails then."""


def stop_when(began: Callable[[], object], work: Callable[[], Any]) -> CancelledError:
    """Cancels work once `began` returns, from another thread, and has it end with the error that says so."""
    failures: list[BaseException] = []

    def stop() -> None:
        try:
            began()
        except BaseException as error:  # noqa: BLE001 — raised below
            failures.append(error)
        scope.cancel()

    with CancelScope() as scope:
        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(CancelledError) as caught:
            work()
        stopper.join()
    assert not failures, failures
    return caught.value


def once(event: threading.Event) -> Callable[[], None]:
    """Returns when the event has come."""

    def wait() -> None:
        assert event.wait(SECONDS)

    return wait


def threads_called(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]
