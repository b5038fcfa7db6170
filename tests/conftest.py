"""What many tests share: small checkpoints, and videos whose every pixel is known.

What takes long to import is imported where it is used: pytest-xdist has a process that runs no test, for which the
others wait.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.programs import install

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from video_tool import VideoQA


def pytest_configure() -> None:
    """Before any test module is imported: some make their settings then."""
    # what one test's server sent is not for the next one's: downloads are kept where a test says so
    os.environ["VIDEO_TOOL_CACHE_MAX_BYTES"] = "0"
    # neither is what was decoded
    os.environ["VIDEO_TOOL_FRAME_CACHE_BYTES"] = "0"
    # as many processes as cores run tests: threads of torch would wait for each other's core, and spin
    os.environ["OMP_NUM_THREADS"] = "1"
    # how long an example takes says more about what else the machine does
    settings.register_profile("whenever", deadline=None)
    settings.load_profile("whenever")
    # what is imported stays: looking through it for garbage, again and again, took a fifth of the tests' time
    gc.disable()


def pytest_collection_finish() -> None:
    """What is there now is never garbage: whoever collects it, the models first, looks at what came later alone."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Shells let what they start in the background ignore Ctrl-C, and the programs that tests start inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def plugin_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution of `tests/plugin_distribution`, for the path of a process."""
    return install(Path(__file__).parent / "plugin_distribution", tmp_path_factory.mktemp("plugins"))


@pytest.fixture(scope="session")
def broken_plugin_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of `tests/broken_plugin_distribution`."""
    return install(Path(__file__).parent / "broken_plugin_distribution", tmp_path_factory.mktemp("broken"))


@pytest.fixture
def plugged(plugin_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, in the path of this process and of those that decode for it; nothing of it is loaded yet."""
    from video_tool.frames.pool import POOL
    from video_tool.frames.readers import READERS
    from video_tool.frames.samplers import SAMPLERS
    from video_tool.models.backends import BACKENDS
    from video_tool.models.families import FAMILIES
    from video_tool.plugins import warn_once
    from video_tool.sources.plugged import SOURCES

    for extensions in (BACKENDS, FAMILIES, READERS, SAMPLERS, SOURCES):
        monkeypatch.setattr(extensions, "_found", {})
    monkeypatch.syspath_prepend(plugin_site)
    monkeypatch.setenv("PYTHONPATH", str(plugin_site), prepend=os.pathsep)
    warn_once.cache_clear()
    POOL.end()
    yield plugin_site
    POOL.end()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights, in the layout of llava-interleave, weights and files named as today."""
    from tests.checkpoints import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def older_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, named as when the model was published."""
    from tests.checkpoints import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("older"), layout="older")


@pytest.fixture(scope="session")
def qa(checkpoint: Path) -> VideoQA:
    """The engine with the first of them, on the CPU."""
    from video_tool import VideoQA

    return VideoQA(checkpoint, device="cpu")


@pytest.fixture(scope="session")
def lossless_videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two videos that every decoder makes the same pixels of: 10 and 13 frames of different sizes."""
    import numpy as np

    from video_tool.builtin.clips import random_clip, render

    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    paths = folder / "right.mkv", folder / "up.mkv"
    for path, motion, count, width in zip(paths, ("right", "up"), (10, 13), (64, 96), strict=True):
        clip = random_clip(rng, width=width, height=64, motions=(motion,))
        _write_lossless(path, render(clip, np.arange(count) / count))
    return paths


def _write_lossless(path: Path, frames: NDArray[np.uint8]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.pix_fmt = "bgr0"
        stream.height, stream.width = frames.shape[1:3]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
