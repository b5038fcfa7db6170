"""Scopes: who cancels what, and what those who wait are told."""

from __future__ import annotations

import asyncio
import threading

import pytest

from video_tool.cancellation import CancelScope, acquire, check, on_cancel, run_in_thread
from video_tool.errors import CancelledError, DeadlineError


def until_stopped() -> None:
    while True:
        check()


def test_nothing_is_stopped_that_nobody_cancels() -> None:
    check()
    with CancelScope() as scope:
        check()
    assert not scope.cancelled


def test_cancelled_work_is_told_at_the_next_look() -> None:
    with CancelScope() as scope:
        threading.Thread(target=scope.cancel).start()
        with pytest.raises(CancelledError) as caught:
            until_stopped()
    assert caught.value.retryable
    check()


def test_a_deadline_stops_by_itself_and_says_how_long_it_was() -> None:
    with CancelScope(0.01), pytest.raises(DeadlineError, match=r"longer than 0\.01 seconds") as caught:
        until_stopped()
    assert isinstance(caught.value, TimeoutError)


def test_a_scope_ends_with_the_one_around_it_and_for_the_same_reason() -> None:
    with CancelScope(0.01), CancelScope(60) as inner:
        with pytest.raises(DeadlineError, match=r"0\.01"):
            until_stopped()
        assert inner.cancelled


def test_the_scope_around_outlives_the_one_within() -> None:
    with CancelScope() as outer:
        with CancelScope() as inner:
            inner.cancel()
            with pytest.raises(CancelledError):
                check()
        check()
        assert not outer.cancelled


def test_who_waits_is_woken_once() -> None:
    calls: list[str] = []
    with CancelScope() as scope:
        with on_cancel(lambda: calls.append("left before")):
            pass
        woken = threading.Event()
        with on_cancel(woken.set), on_cancel(lambda: calls.append("there")):
            threading.Thread(target=scope.cancel).start()
            assert woken.wait(60)
        scope.cancel()
        with on_cancel(lambda: calls.append("too late to wait")):
            pass
    assert calls == ["there", "too late to wait"]


def test_waiting_for_a_lock_is_given_up_and_the_lock_left_alone() -> None:
    lock = threading.Lock()
    with lock, CancelScope(0.01), pytest.raises(DeadlineError), acquire(lock):
        pytest.fail("somebody else has it")
    with acquire(lock):
        assert lock.locked()
    assert not lock.locked()


def test_a_cancelled_task_does_not_wait_and_its_work_stops() -> None:
    began, stopped = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        try:
            until_stopped()
        finally:
            stopped.set()

    async def main() -> None:
        task = asyncio.create_task(run_in_thread(work))
        await asyncio.to_thread(began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert stopped.wait(60)


def test_tasks_take_the_scope_along_into_their_threads() -> None:
    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            with pytest.raises(CancelledError):
                await run_in_thread(check)

    asyncio.run(main())
