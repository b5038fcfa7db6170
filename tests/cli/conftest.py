import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from unittest.mock import patch

import av
import numpy as np
import pytest

from tests.programs import unmeasured
from video_tool.cli import main

_OURS = ("VIDEO_TOOL_", "HF_", "TRANSFORMERS_")
_STYLES = ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS")  # typer draws as on a terminal when it sees these


class Run(Protocol):
    """Runs `video-tool`; for how long is up to pytest's one limit for a test."""

    def __call__(
        self, *args: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


class Program(Protocol):
    """Runs `video-tool`, or other code, as a program of its own."""

    def __call__(
        self, *args: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None, code: str | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def environment(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which nothing is set but where the tests' files are, nothing downloaded, and the temp folder
    is empty at the end.
    """
    temp = tmp_path / "temp"
    temp.mkdir()
    kept = {name: value for name, value in unmeasured().items() if not name.startswith(_OURS) and name not in _STYLES}
    yield kept | {
        "COLUMNS": "200",
        "HF_HOME": str(tmp_path / "hf"),
        "NO_COLOR": "1",
        "TMPDIR": str(temp),
        "VIDEO_TOOL_ALLOWED_ROOTS": str(tmp_path_factory.getbasetemp()),
        "VIDEO_TOOL_CACHE_DIR": str(tmp_path / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),  # else torch makes it in the temp folder
    }
    assert list(temp.iterdir()) == []


@pytest.fixture
def run(environment: dict[str, str], capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """In this process, where torch needs to be imported once for all tests.

    Tests of what a process has to itself (signals, pipes, what gets imported, what other packages print, variables that
    they read when they are imported) take `program`.
    """

    def run_it(
        *args: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = list(map(os.fspath, args))
        capfdbinary.readouterr()
        with _as_if_alone(environment | (env or {}), stdin), pytest.raises(SystemExit) as left:
            main(command)
        out, err = capfdbinary.readouterr()
        assert isinstance(left.value.code, int)
        return subprocess.CompletedProcess(command, left.value.code, out.decode(), err.decode())

    return run_it


@contextmanager
def _as_if_alone(environment: dict[str, str], stdin: bytes) -> Iterator[None]:
    """Lends the command line a process as it finds one, and takes back what it does to it."""
    root, terminate = logging.getLogger(), signal.getsignal(signal.SIGTERM)
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.object(tempfile, "tempdir", None),  # where TMPDIR says
        patch.object(root, "handlers", list(root.handlers)),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        warnings.catch_warnings(),
    ):
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, terminate)


@pytest.fixture
def program(environment: dict[str, str]) -> Program:
    def run_it(
        *args: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None, code: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *(("-c", code) if code else ("-m", "video_tool")), *map(os.fspath, args)],
            input=stdin,
            capture_output=True,
            env=environment | (env or {}),
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run_it


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second: ten frames of 64 × 48."""
    path = tmp_path_factory.mktemp("videos") / "ten.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for grey in range(0, 250, 25):
            picture = np.full((48, 64, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def terminal(environment: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Runs Python code with stdin, stdout and stderr on a terminal; what it left and what it showed."""
    pty = pytest.importorskip("pty")

    def on_terminal(code: str, *args: str | Path) -> tuple[int, str]:
        controller, device = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", code, *map(os.fspath, args)],
            stdin=device,
            stdout=device,
            stderr=device,
            env=environment | {"TERM": "xterm"},
        ) as child:
            os.close(device)
            shown = b"".join(iter(lambda: _read(controller), b""))
        os.close(controller)
        return child.returncode, shown.decode(errors="replace")

    return on_terminal


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # Linux's way to say that the other side has been closed
        return b""
