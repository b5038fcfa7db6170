"""What a surface costs beyond `VideoQA.ask`: a pytest plugin, for tests that subclass `SurfaceTests`.

    python -m pytest -p benchmarks.surface_overhead tests/adapters
    python integrations/run_tests.py langchain --pytest="-p benchmarks.surface_overhead"

The same short question goes through the engine and through the surface in turn, with the built-in model in one process
or two, as the surface has it. Told are the medians, and the median of how much longer the surface took.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from video_tool.question import AskOptions, VideoQuestion

if TYPE_CHECKING:
    from video_tool.testing import Bench, Surface

REQUEST = "two videos"
ROUNDS = 60
WARM_UP = 5

_rows: list[tuple[str, float, float, float]] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    measured = [item for item in items if item.name.endswith(f"[{REQUEST}]") and "surface" in item.fixturenames]
    config.hook.pytest_deselected(items=[item for item in items if item not in measured])
    items[:] = measured


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool:
    surface: Surface = pyfuncitem.funcargs["surface"]
    bench: Bench = pyfuncitem.funcargs["bench"]
    arguments = bench.requests[REQUEST] | {"num_frames": 1, "max_new_tokens": 1}
    options: AskOptions = {"num_frames": 1, "max_new_tokens": 1}
    question = VideoQuestion.of(arguments["question"], arguments["videos"], (), options)
    engine, through = [], []
    for _ in range(WARM_UP + ROUNDS):
        began = time.perf_counter()
        bench.toolbox.engine.answer(question)
        asked = time.perf_counter()
        surface.call(arguments)
        engine.append(asked - began)
        through.append(time.perf_counter() - asked)
    name = f"{pyfuncitem.path.stem}::{pyfuncitem.cls.__name__}"
    engine, through = engine[WARM_UP:], through[WARM_UP:]
    more = median(taken - needed for taken, needed in zip(through, engine, strict=True))
    _rows.append((name, median(engine), median(through), more))
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section(f"overhead, medians of {ROUNDS} alternating calls")
    terminalreporter.line(f"{'surface':50} {'engine, ms':>12} {'surface, ms':>12} {'more, ms':>10}")
    for name, engine, through, more in _rows:
        terminalreporter.line(f"{name:50} {engine * 1e3:12.1f} {through * 1e3:12.1f} {more * 1e3:10.1f}")
