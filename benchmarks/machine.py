"""The machine that a benchmark runs on: what it is, and how fast it computes and reads memory right now."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch
from report import Machine

PACKAGES = ("torch", "transformers", "decord2", "av", "pillow", "opencv-python-headless", "torchcodec")
_SIDE = 2048  # of a matrix product that no cache holds
_BYTES = 1 << 29
_RUNS = 7


def describe() -> Machine:
    """What this machine is, with its rates measured."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    device = "cuda" if gpu else "cpu"
    rates = {
        str(dtype).removeprefix("torch."): product_rate(dtype, device) for dtype in (torch.float32, torch.bfloat16)
    }
    return Machine(
        _cpu(),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        round(psutil.virtual_memory().total / 2**30, 1),
        gpu,
        {"Python": platform.python_version()} | {name: found for name in PACKAGES if (found := _version(name))},
        rates | {"memory": memory_rate(device)},
    )


def product_rate(dtype: torch.dtype, device: str) -> float:
    """Operations a second of a large matrix product: the best of some runs."""
    side = _SIDE if device == "cpu" else 4 * _SIDE
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _best(lambda: left @ right, device)


def memory_rate(device: str) -> float:
    """Bytes a second that are read from memory: the best of some runs."""
    row = torch.ones(_BYTES // 4, device=device)
    return _BYTES / _best(row.sum, device)


def _best(run: Callable[[], object], device: str) -> float:
    seconds = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
