"""Questions that are cancelled, in each way there is, at each stage: the engine is as good as before."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.frames.workers import busy_workers
from tests.serve import Site, serve
from tests.stopping import SECONDS, once, stop_when, threads_called
from video_tool import CancelScope, Settings, VideoQA
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import DeadlineError
from video_tool.progress import Progress

QUESTION = "What does the circle do?"


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


class Watched:
    """An engine of which is known what it is doing.

    Attributes:
        at: for each stage, set once it was reached.
    """

    def __init__(self, folder: Path) -> None:
        self.at = {stage: threading.Event() for stage in ("download", "decode", "load", "generate")}
        settings = Settings(allowed_hosts=("127.0.0.1",), cache_dir=folder, cache_max_bytes=1 << 20, num_frames=6)
        self.qa = VideoQA("builtin", device="cpu", settings=settings, on_progress=self._hear)

    def _hear(self, news: Progress) -> None:
        self.at[news.stage].set()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return Watched(tmp_path / "cache")


def stalling(site: Site) -> str:
    return site.put("/demo.mp4", bytes(1 << 18), content_type="video/mp4", stall_after=1 << 17)


def as_good_as_before(watched: Watched, site: Site, tmp_path: Path) -> None:
    assert busy_workers() == []
    assert list((tmp_path / "temp").iterdir()) == []
    work = tmp_path / "cache" / "downloads" / "work"
    assert not work.exists() or list(work.iterdir()) == []
    site.put("/demo.mp4", DEMO_VIDEO.read_bytes(), content_type="video/mp4")
    answer = watched.qa.ask(QUESTION, [f"{site.url}/demo.mp4"])
    assert answer.text == watched.qa.ask(QUESTION, [DEMO_VIDEO]).text


def test_by_hand(watched: Watched, site: Site, tmp_path: Path) -> None:
    url = stalling(site)
    stop_when(once(watched.at["download"]), lambda: watched.qa.ask(QUESTION, [url]))
    as_good_as_before(watched, site, tmp_path)


def test_by_a_deadline(watched: Watched, site: Site, tmp_path: Path) -> None:
    url = stalling(site)
    with CancelScope(1), pytest.raises(DeadlineError, match="1 seconds"):
        watched.qa.ask(QUESTION, [url])
    as_good_as_before(watched, site, tmp_path)


def test_by_a_task_that_is_not_waited_for_any_more(watched: Watched, site: Site, tmp_path: Path) -> None:
    url = stalling(site)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(watched.qa.aask(QUESTION, [url]), 1)
        assert watched.at["download"].is_set()
        for thread in (*threads_called("question"), *threads_called("egress-proxy")):
            await asyncio.to_thread(thread.join, SECONDS)
        # and the question after that does not wait for anything of it
        assert (await watched.qa.aask(QUESTION, [DEMO_VIDEO])).text

    asyncio.run(main())
    as_good_as_before(watched, site, tmp_path)


@pytest.mark.parametrize("stage", ["decode", "load", "generate"])
@pytest.mark.parametrize("how", ["aask", "astream"])
def test_by_cancelling_a_task_at_each_stage(watched: Watched, site: Site, tmp_path: Path, stage: str, how: str) -> None:
    ask: Callable[..., Any] = getattr(watched.qa, how)

    async def run() -> None:
        if how == "aask":
            await ask(QUESTION, [DEMO_VIDEO])
            return
        async for _ in ask(QUESTION, [DEMO_VIDEO]):
            pass

    async def main() -> None:
        task = asyncio.create_task(run())
        await asyncio.to_thread(watched.at[stage].wait, SECONDS)
        task.cancel()
        # cancelling a task that has just ended says nothing
        await asyncio.wait([task], timeout=SECONDS)
        assert task.done()

    asyncio.run(main())
    as_good_as_before(watched, site, tmp_path)


def test_a_keyboards_interrupt_is_none_of_ours(watched: Watched, site: Site, tmp_path: Path) -> None:
    url = stalling(site)

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    watched.qa.on_progress = interrupt
    with CancelScope(), pytest.raises(KeyboardInterrupt):
        watched.qa.ask(QUESTION, [url])
    watched.qa.on_progress = lambda _: None
    as_good_as_before(watched, site, tmp_path)
