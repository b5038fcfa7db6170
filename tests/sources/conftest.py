import io
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.serve import Site, serve


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
