"""The conformance kit: whatever shows the tools to agents gives the same as the toolbox itself.

A pytest plugin, which pytest finds by itself. Twelve requests (a URL, two videos, an image, markers, a range, unicode,
an empty question, a missing and a refused video, a broken file, too many frames, a call that is cancelled) go through a
surface, which has to give the same words, the same receipt and the same error code as `Toolbox.call`. In a test module:

    from video_tool.testing import Bench, Outcome, Surface, SurfaceTests

    class MySurface(Surface):
        def call(self, arguments): ...

    class TestMySurface(SurfaceTests):
        @pytest.fixture
        def surface(self, bench: Bench) -> Surface:
            return MySurface(bench.toolbox)

Nothing leaves the machine: videos are drawn on the spot, the model is the built-in one, and the only server is the
kit's own, on loopback.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # every run of pytest loads its plugins: this one is to cost those nothing that don't use it
    from video_tool.adapters import Toolbox, ToolResult
    from video_tool.answer import VideoAnswer
    from video_tool.settings import Settings

_PATIENCE = 60.0
"""Seconds after which something that should happen at once is taken for lost; a machine may be busy."""

_QUESTION = "What happens in the video?"

REQUESTS = (
    "a video by its URL",
    "two videos",
    "an image beside a video",
    "markers",
    "a range of time",
    "unicode",
    "an empty question",
    "a URL of nothing",
    "a refused path",
    "a broken file",
    "too many frames",
)
"""All but the one that is cancelled."""


@dataclass(frozen=True)
class Outcome:
    """What a surface gave.

    Attributes:
        text: what the model that called reads.
        content: what the host gets besides: the answer, or `ToolResult.readable`; None where errors leave nothing.
        error_code: of the error, as the host gets it; None when there was none.
    """

    text: str
    content: VideoAnswer | dict[str, Any] | None
    error_code: str | None

    @classmethod
    def of(cls, result: ToolResult) -> Outcome:
        """The outcome of a surface that hands on results as they are."""
        from video_tool.answer import VideoAnswer

        content = result.content if isinstance(result.content, VideoAnswer) else result.readable
        return cls(result.text, content, result.error and result.error.code)


class Surface(ABC):
    """A way in which agents call `video_qa`.

    Attributes:
        has_receipt: whether its hosts get anything but words; some have no place for it.
    """

    has_receipt = True

    @abstractmethod
    def call(self, arguments: dict[str, Any]) -> Outcome:
        """Calls `video_qa` as a host does for a model."""

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        """Calls `video_qa`, and cancels the call as the surface's users do once `begun` is set.

        Returns the error's code, or None where hosts throw away what comes of cancelled calls. By default the call is
        made in a `CancelScope`, which is right where it runs in the thread of its caller.
        """
        from video_tool.cancellation import CancelScope

        outcomes: list[Outcome] = []
        scope = CancelScope()

        def work() -> None:
            with scope:
                outcomes.append(self.call(arguments))

        thread = threading.Thread(target=work)
        thread.start()
        _wait_for(begun)
        scope.cancel()
        thread.join(_PATIENCE)
        if not outcomes:
            pytest.fail("the call goes on though it was cancelled")
        return outcomes[0].error_code


def cancel_task(make: Callable[[], Awaitable[Any]], begun: threading.Event) -> None:
    """`Surface.cancel` for asynchronous surfaces: runs a coroutine as a task, and cancels it once `begun` is set.

    Args:
        make: makes the coroutine, in the loop that it runs in.
        begun: when to cancel.
    """

    async def main() -> None:
        task = asyncio.ensure_future(make())
        await asyncio.to_thread(_wait_for, begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@dataclass(frozen=True)
class Bench:
    """What all surfaces are tested with.

    Attributes:
        settings: of the toolbox.
        environment: variables that give another process the same settings.
        toolbox: what surfaces are measured against; those in this process may use it themselves.
        requests: the arguments of each of `REQUESTS`.
    """

    settings: Settings
    environment: dict[str, str]
    toolbox: Toolbox
    requests: dict[str, dict[str, Any]]
    _expected: dict[str, ToolResult] = field(default_factory=dict)

    def expected(self, request: str) -> ToolResult:
        """What the toolbox gives."""
        if request not in self._expected:
            self._expected[request] = self.toolbox.call("video_qa", self.requests[request])
        return self._expected[request]


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Generator[Bench]:
    """Videos in a folder, a server that has them, and settings that allow both."""
    from video_tool.adapters import Toolbox
    from video_tool.settings import Settings

    folder = tmp_path_factory.mktemp("bench")
    outside = tmp_path_factory.mktemp("outside")
    videos = folder / "videos"
    videos.mkdir()
    _draw(videos / "red.mp4", "circle", "red", "right")
    _draw(videos / "blue.mp4", "square", "blue", "up")
    _draw(videos / "größe 视频.mp4", "triangle", "yellow", "left")
    _draw(outside / "secret.mp4", "circle", "white", "down")
    (videos / "broken.mp4").write_text("This is no video.")
    _first_frame(videos / "red.mp4", videos / "red.png")
    choices: dict[str, str] = {
        "model": "builtin",
        "allowed_hosts": "127.0.0.1",
        "allowed_roots": str(videos),
        "cache_dir": str(folder / "cache"),
        "num_frames": "6",
    }
    settings = Settings(**choices)  # type: ignore[arg-type]
    environment = {f"VIDEO_TOOL_{name.upper()}": value for name, value in choices.items()}
    with _served(videos) as address:
        yield Bench(settings, environment, Toolbox(settings=settings), _requests(videos, outside, address))


def _requests(videos: Path, outside: Path, address: str) -> dict[str, dict[str, Any]]:
    red, blue = str(videos / "red.mp4"), str(videos / "blue.mp4")
    made: tuple[dict[str, Any], ...] = (
        {"question": _QUESTION, "videos": [f"{address}/red.mp4"]},
        {"question": "Do the shapes have the same colour?", "videos": [red, blue]},
        {"question": "What colour is the shape?", "videos": [blue], "images": [str(videos / "red.png")]},
        {"question": "<video> <video> Are they doing the same?", "videos": [blue, red], "num_frames": 4},
        {"question": _QUESTION, "videos": [red], "start": 0.5, "end": 1.5, "num_frames": 5, "max_new_tokens": 6},
        {"question": "Was passiert hier? 发生了什么?", "videos": [str(videos / "größe 视频.mp4")]},
        {"question": "  ", "videos": [red]},
        {"question": _QUESTION, "videos": [red, f"{address}/nothing.mp4"]},
        {"question": _QUESTION, "videos": [str(outside / "secret.mp4")]},
        {"question": _QUESTION, "videos": [str(videos / "broken.mp4")]},
        {"question": _QUESTION, "videos": [red], "num_frames": 100_000},
    )
    return dict(zip(REQUESTS, made, strict=True))


class SurfaceTests:
    """The twelve requests; to be subclassed with a fixture `surface`."""

    @pytest.mark.parametrize("name", REQUESTS)
    def test_it_gives_what_the_toolbox_gives(self, surface: Surface, bench: Bench, name: str) -> None:
        """Words, receipt and error code."""
        from video_tool.adapters.replies import mark
        from video_tool.answer import VideoAnswer

        expected = bench.expected(name)
        outcome = surface.call(bench.requests[name])
        _compare("error code", outcome.error_code, expected.error and expected.error.code)
        if not isinstance(expected.content, VideoAnswer):
            if expected.text not in outcome.text:  # hosts put words of their own before it
                _compare("words", outcome.text, expected.text)
            return
        _compare("words", outcome.text, expected.text)
        if not surface.has_receipt:
            return
        if outcome.content is None:
            pytest.fail("the host does not get the receipt")
        given = VideoAnswer.model_validate(outcome.content)
        if given.text != mark(expected.content.text):
            _compare("words of the receipt", given.text, expected.content.text)
        _compare("receipt", _receipt(given), _receipt(expected.content))

    def test_a_cancelled_call_ends_and_the_next_one_is_answered(self, surface: Surface, bench: Bench) -> None:
        """The server that it was fetching from sees the connection closed."""
        with _silent_server() as (address, begun, left):
            code = surface.cancel({"question": _QUESTION, "videos": [f"{address}/video.mp4"]}, begun)
            if code is not None:
                _compare("error code", code, "cancelled")
            _wait_for(left)
        self.test_it_gives_what_the_toolbox_gives(surface, bench, "two videos")


def _compare(what: str, given: object, expected: object) -> None:
    if given != expected:
        pytest.fail(f"another {what} than the toolbox's:\n{given}\ninstead of\n{expected}")


def _receipt(answer: VideoAnswer) -> dict[str, Any]:
    """What has to be equal: not how long it took, nor where the file came from, which differs from call to call."""
    differing: dict[str, Any] = {
        "text": True,
        "timings": True,
        "prefix_cache": True,
        "batch": True,
        "feature_cache": True,
        "videos": {"__all__": {"from_cache", "frames_from_cache"}},
    }
    return answer.model_dump(mode="json", exclude=differing)


def _wait_for(event: threading.Event) -> None:
    if not event.wait(_PATIENCE):
        pytest.fail(f"nothing happened for {_PATIENCE:.0f} s")


def _draw(path: Path, shape: str, colour: str, motion: str) -> None:
    """A video of two seconds."""
    import numpy as np

    from video_tool.builtin.clips import random_clip, render, write_video

    clip = random_clip(np.random.default_rng(0), width=128, height=96, shape=shape, colour=colour, motions=(motion,))
    write_video(path, render(clip, np.arange(24) / 24), fps=12)


def _first_frame(video: Path, picture: Path) -> None:
    from PIL import Image

    from video_tool.frames import read_video
    from video_tool.question import Sampling
    from video_tool.settings import Settings

    frames = read_video(video, Sampling(num_frames=1), Settings(allowed_roots=(video.parent,))).images
    Image.fromarray(frames[0]).save(picture)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing: what is asked for is the tests' own business."""


@contextmanager
def _served(folder: Path) -> Generator[str]:
    """The address of a server that has the files of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _silent_server() -> Generator[tuple[str, threading.Event, threading.Event]]:
    """The address of a server that never answers; when a request has come, and when the one who asked has left."""
    begun, left = threading.Event(), threading.Event()

    def hear(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while connection.recv(1 << 16):
                begun.set()
        left.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=hear, args=(listening,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", begun, left
