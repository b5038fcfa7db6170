"""What is done at the same time: downloads, loading, decoding, generating; and what becomes of it when one fails."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from transformers.utils import logging

from tests.frames.workers import workers_of
from tests.plugin_distribution.other_plugins.readers import write_scripted
from tests.serve import Site, serve
from tests.stopping import SECONDS, once, stop_when, threads_called
from video_tool import CancelScope, Settings, VideoQA, VideoQuestion
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import DeadlineError, DownloadError, ModelNotFoundError, NoVideoError
from video_tool.frames.pool import POOL
from video_tool.models import loading
from video_tool.progress import OnProgress, Progress, ignore_progress

QUESTION = "What does the circle do?"
BODY = DEMO_VIDEO.read_bytes() + struct.pack(">I4s", 1 << 18, b"free") + bytes((1 << 18) - 8)
"""With a box that players pass over: downloads of less than 64 KiB come in one piece."""


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


class Half:
    """A video of which half has come, and the rest comes when it is told to."""

    def __init__(self, site: Site, body: bytes = BODY, path: str = "/demo.mp4") -> None:
        self.go_on = threading.Event()
        self.url = site.put(path, body, content_type="video/mp4", stall_after=len(body) // 2, go_on=self.go_on)


def engine(
    on_progress: OnProgress = ignore_progress,
    model: str | Path = "builtin",
    dtype: Any = "float32",
    **settings: object,
) -> VideoQA:
    given = Settings(allowed_hosts=("127.0.0.1",), num_frames=4, **settings)  # type: ignore[arg-type]
    return VideoQA(model, device="cpu", dtype=dtype, settings=given, on_progress=on_progress)


def finished(thread: threading.Thread) -> None:
    thread.join(SECONDS)
    assert not thread.is_alive()


@contextmanager
def nothing_loads() -> Iterator[None]:
    """Whoever loads a model waits for the end of the block."""
    with loading._SHARED._loading:
        yield


def test_the_model_loads_while_a_video_downloads(site: Site) -> None:
    half, downloading = Half(site), threading.Event()
    news: list[tuple[Progress, int]] = []

    def hear(report: Progress) -> None:
        news.append((report, threading.get_ident()))
        if report.stage == "download":
            downloading.set()

    qa = engine(hear, unload_after=1e-6)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(qa.ask, QUESTION, [half.url])
        once(downloading)()
        for thread in threads_called("load"):  # none where it has ended already
            finished(thread)
        assert qa._held.model is not None  # and it is kept for who is about to use it, who still waits for the rest
        half.go_on.set()
        answer = asked.result(SECONDS)
    plain = engine().ask(QUESTION, [DEMO_VIDEO])
    assert (answer.text, answer.frames, answer.usage) == (plain.text, plain.frames, plain.usage)
    assert min(answer.timings.fetch, answer.timings.load) > 0
    assert len({thread for _, thread in news}) == 1  # all was told by the thread that asked
    load = [report.done for report, _ in news if report.stage == "load"]
    assert load[:2] == [0, 1]  # and perhaps again, so short is the time after which it is unloaded
    stages = [report.stage for report, _ in news]
    assert stages.index("download") < stages.index("load") < stages.index("decode") < stages.index("generate")


def test_what_decodes_starts_while_a_video_downloads(site: Site) -> None:
    half, downloading = Half(site), threading.Event()
    POOL.end()
    qa = engine(lambda _: downloading.set())
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(qa.ask, QUESTION, [half.url])
        once(downloading)()
        (worker,) = workers_of()
        half.go_on.set()
        assert asked.result(SECONDS).text
    assert workers_of() == [worker]


def test_loading_starts_what_decodes() -> None:
    POOL.end()
    qa = engine()
    qa.load()
    (worker,) = workers_of()
    qa.load()
    qa.ask(QUESTION, [DEMO_VIDEO])
    assert workers_of() == [worker]


def test_what_is_at_hand_is_measured_before_anything_is_loaded(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with nothing_loads(), pytest.raises(NoVideoError):
        engine(allowed_roots=(tmp_path,)).ask(QUESTION, [broken])
    assert threads_called("load") == []


def test_an_address_where_nothing_is_has_nothing_loaded(site: Site) -> None:
    with nothing_loads(), pytest.raises(Exception, match="404"):
        engine().ask(QUESTION, [f"{site.url}/gone.mp4"])
    assert threads_called("load") == []


@pytest.mark.parametrize(
    ("body", "options", "error"),
    [(bytes(1 << 18), {}, NoVideoError), (BODY, {"announced": 2 * len(BODY)}, DownloadError)],
    ids=["no video", "broken off"],
)
def test_what_is_wrong_with_a_download_is_told_without_waiting_for_the_model(
    site: Site, body: bytes, options: dict[str, int], error: type[Exception]
) -> None:
    qa = engine()
    url = site.put("/demo.mp4", body, content_type="video/mp4", **options)
    with nothing_loads():
        with pytest.raises(error):
            qa.ask(QUESTION, [url])
        for thread in threads_called("load"):
            finished(thread)  # nobody wants it any more
    assert qa._held.model is None
    assert qa.ask(QUESTION, [DEMO_VIDEO]).timings.load > 0


def test_who_loads_ahead_gets_the_error_of_loading(site: Site, tmp_path: Path) -> None:
    half, downloading = Half(site), threading.Event()
    qa = engine(lambda _: downloading.set(), model=tmp_path / "nothing")
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(qa.ask, QUESTION, [half.url])
        once(downloading)()
        for thread in threads_called("load"):
            finished(thread)
        half.go_on.set()
        with pytest.raises(ModelNotFoundError, match="nothing"):
            asked.result(SECONDS)
    with pytest.raises(ModelNotFoundError):
        qa.ask(QUESTION, [DEMO_VIDEO])


@pytest.mark.parametrize("stop", [lambda scope: scope.cancel(), None], ids=["cancelled", "deadline"])
def test_who_leaves_while_the_model_loads_is_freed(site: Site, stop: Callable[[CancelScope], None] | None) -> None:
    """And what had begun to load ends as soon as it can."""
    qa = engine()
    url = site.put("/demo.mp4", BODY, content_type="video/mp4")
    with nothing_loads():
        if stop is None:
            with CancelScope(1), pytest.raises(DeadlineError):
                qa.ask(QUESTION, [url])
        else:
            fetched = threading.Event()
            qa.on_progress = lambda news: fetched.set() if news.done == news.total else None
            stop_when(once(fetched), lambda: qa.ask(QUESTION, [url]))
        for thread in threads_called("load"):
            finished(thread)
    assert qa._held.model is None
    assert qa.ask(QUESTION, [DEMO_VIDEO]).text


def test_who_leaves_while_weights_are_read_does_not_wait_for_them() -> None:
    """They are read to their end all the same, and kept."""
    reading, go_on = threading.Event(), threading.Event()

    def hook(factory: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        reading.set()
        assert go_on.wait(SECONDS)
        return factory(*args, **kwargs)

    qa = engine(dtype="bfloat16")  # which nobody else has in memory
    before = logging.set_tqdm_hook(hook)
    try:
        stop_when(once(reading), lambda: qa.ask(QUESTION, [DEMO_VIDEO]))
        assert not go_on.is_set()
    finally:
        go_on.set()
        for thread in threads_called("load"):
            finished(thread)
        logging.set_tqdm_hook(before)
    assert qa.load() == 0.0


def test_two_who_ask_at_once_load_once(site: Site) -> None:
    halves = [Half(site, path=f"/{name}.mp4") for name in "ab"]
    both, news = threading.Semaphore(0), list[Progress]()

    def hear(report: Progress) -> None:
        news.append(report)
        if report.stage == "download" and report.done < len(BODY):
            both.release()

    qa = engine(hear)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(qa.ask, QUESTION, [half.url]) for half in halves]
        for _ in halves:
            assert both.acquire(timeout=SECONDS)
        for half in halves:
            half.go_on.set()
        first, second = (each.result(SECONDS) for each in asked)
    assert first.text == second.text
    assert [report.done for report in news if report.stage == "load"] == [0, 1]
    assert sorted(answer.timings.load > 0 for answer in (first, second)) == [False, True]


def test_what_hearing_of_loading_raises_reaches_who_asks(site: Site) -> None:
    def hear(report: Progress) -> None:
        if report.stage == "load":
            raise KeyboardInterrupt

    qa = engine(hear)
    with pytest.raises(KeyboardInterrupt):
        qa.ask(QUESTION, [site.put("/demo.mp4", BODY, content_type="video/mp4")])
    for thread in threads_called("load"):
        finished(thread)
    qa.on_progress = ignore_progress
    assert qa.ask(QUESTION, [DEMO_VIDEO]).text


LEAVE = """
import threading
from transformers.utils import logging
from video_tool import CancelScope, VideoQA
from video_tool.errors import CancelledError

loading = threading.Event()

def hook(factory, args, kwargs):  # called when weights are about to be read
    loading.set()
    if end_first:
        threading.main_thread().join()
    scope.cancel()
    return factory(*args, **kwargs)

def load():
    try:
        with scope:
            qa.load()
    except CancelledError:
        print("cancelled", qa._held.model is not None, flush=True)

logging.set_tqdm_hook(hook)
qa = VideoQA("builtin", device="cpu")
for end_first in (False, True):
    qa.unload()
    loading.clear()
    scope = CancelScope()
    thread = threading.Thread(target=load)
    thread.start()
    loading.wait()
    if not end_first:
        thread.join()
"""


def test_what_is_loaded_for_nobody_does_not_hold_up_the_end_of_a_program() -> None:
    """Else it is loaded to its end, and kept."""
    ran = subprocess.run([sys.executable, "-c", LEAVE], check=False, capture_output=True, text=True, timeout=100)
    assert (ran.stdout, ran.stderr) == ("cancelled True\ncancelled False\n", "")


def test_a_question_is_read_while_the_model_answers_another() -> None:
    generating, read = threading.Event(), threading.Event()

    def hear(report: Progress) -> None:
        if report.stage == "decode" and report.done and generating.is_set():
            read.set()

    def wait(_: str) -> None:
        generating.set()
        assert read.wait(SECONDS)  # before the model says another word

    qa = engine(hear)
    turn = qa.read(VideoQuestion(question=QUESTION, videos=(DEMO_VIDEO,)))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(qa.reply, turn, wait)
        once(generating)()
        second = threads.submit(qa.ask, QUESTION, [DEMO_VIDEO])
        assert first.result(SECONDS).text == second.result(SECONDS).text


@pytest.mark.usefixtures("plugged")
def test_several_videos_are_decoded_at_once(tmp_path: Path) -> None:
    paths = [write_scripted(tmp_path / f"{name}.mp4", "hang in frames") for name in "ab"]
    qa = engine(allowed_roots=(tmp_path,))

    def both_are_open() -> None:
        while not {str(path) for path in paths} <= _opened():
            pass

    stop_when(both_are_open, lambda: qa.ask(QUESTION, paths))


def _opened() -> set[str]:
    found: set[str] = set()
    for worker in workers_of():
        try:
            found |= {opened.path for opened in worker.open_files()}
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
