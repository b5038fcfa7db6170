"""The conformance kit over our own surfaces in this process, and over one that cheats."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from video_tool.adapters import Toolbox
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task

pytest_plugins = ["pytester"]


class Called(Surface):
    """The toolbox, called with JSON text."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        return Outcome.of(self._toolbox.call("video_qa", json.dumps(arguments)))


class Awaited(Called):
    """The toolbox, asked by a task."""

    def call(self, arguments: dict[str, Any]) -> Outcome:
        return Outcome.of(asyncio.run(self._toolbox.acall("video_qa", arguments)))

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        cancel_task(lambda: self._toolbox.acall("video_qa", arguments), begun)
        return None


class TestCalled(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Called(bench.toolbox)


class TestAwaited(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Awaited(Toolbox(settings=bench.settings))


def test_the_requests_are_what_they_are_called(bench: Bench) -> None:
    errors = {name: bench.expected(name).error for name in bench.requests}
    assert {name: error and error.code for name, error in errors.items()} == {
        "a video by its URL": None,
        "two videos": None,
        "an image beside a video": None,
        "markers": None,
        "a range of time": None,
        "unicode": None,
        "an empty question": "question",
        "a URL of nothing": "source_not_found",
        "a refused path": "source_refused",
        "a broken file": "no_video",
        "too many frames": "question",
    }


CHEATING = """
from video_tool.testing import Outcome, Surface, SurfaceTests
import pytest


class Cheating(Surface):
    def __init__(self, toolbox):
        self.toolbox = toolbox

    def call(self, arguments):
        few = dict(arguments, num_frames=2)
        result = self.toolbox.call("video_qa", few)
        return Outcome(result.text, result.content, None)

    def cancel(self, arguments, begun):
        return "ended"

class TestCheating(SurfaceTests):
    @pytest.fixture
    def surface(self, bench):
        return Cheating(bench.toolbox)
"""


def test_a_surface_that_changes_arguments_and_hides_errors_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CHEATING)
    outcomes = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider").parseoutcomes()
    assert outcomes["failed"] == 12
    assert "passed" not in outcomes
