import io
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.serve import Site, serve
from video_tool.settings import Settings
from video_tool.sources import open_source


@pytest.fixture(scope="session")
def mp4() -> bytes:
    """A video of ten frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        noise = np.random.default_rng(2).integers(0, 255, (10, 64, 64, 3), dtype=np.uint8)
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on the local machine, from which fetching is allowed."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_HOSTS", "127.0.0.1")
    with serve() as site:
        yield site


@pytest.fixture(autouse=True)
def temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temp folder of the test's own, which has to be empty at its end; files may be read from the test's folder."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """As on a full disk, no file gets larger than 4 MiB: what pytest itself prints must go on fitting into one."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that nobody listens at, and that nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def settings(cache: Path) -> Callable[..., Settings]:
    def make(**changes: Any) -> Settings:
        return Settings(**{"cache_dir": cache, "cache_max_bytes": 1 << 20} | changes)

    return make


@pytest.fixture
def get(settings: Callable[..., Settings], cache: Path) -> Iterator[Callable[..., tuple[bytes, bool]]]:
    """Fetches through the cache; what came, and whether it came from the cache, without a word of warning."""

    def fetch(url: str, **changes: Any) -> tuple[bytes, bool]:
        with open_source(url, settings(**changes)) as file:
            assert file.warnings == ()
            return file.path.read_bytes(), file.from_cache

    yield fetch
    work = cache / "downloads" / "work"
    assert not work.exists() or list(work.iterdir()) == []
