"""Several processes and threads that ask at once, and one that is stopped meanwhile."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.serve import Site
from tests.sources.caching import LATER, MP4, child, stalling, start, with_headers
from video_tool.errors import DownloadError
from video_tool.settings import Settings
from video_tool.sources import open_source


def test_eight_processes_share_one_download(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    one, eight = with_headers(site, mp4, {}, "/one.mp4"), with_headers(site, mp4, {}, "/eight.mp4")
    get(one)
    with ExitStack() as running:
        processes = [running.enter_context(child(eight, cache)) for _ in range(8)]
        for process in processes:
            start(process)
        said = [process.communicate()[0].splitlines()[-1].split() for process in processes]
    assert len({checksum for checksum, _ in said}) == 1
    assert sorted(from_cache for _, from_cache in said) == ["False"] + ["True"] * 7
    assert site.hits["/eight.mp4"] == site.hits["/one.mp4"]


def test_those_who_ask_at_once_share_what_is_never_fresh(site: Site, mp4: bytes, get: Callable[..., Any]):
    url = with_headers(site, mp4, {"Cache-Control": "no-cache"})
    get(with_headers(site, mp4, {}, "/one.mp4"))
    together = threading.Barrier(4)
    got: list[tuple[bytes, bool]] = []

    def ask() -> None:
        together.wait()
        got.append(get(url))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [(mp4, False), (mp4, True), (mp4, True), (mp4, True)]
    assert site.hits["/cats.mp4"] == site.hits["/one.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_is_stopped_leaves_nothing_that_would_be_served(
    site: Site, mp4: bytes, get: Callable[..., Any], cache: Path, stop: signal.Signals
):
    url = stalling(site, mp4)
    with child(url, cache) as process:
        start(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("news")  # the first block is on the disk
        work = cache / "downloads" / "work"
        assert [path for path in work.rglob("*") if path.name == "source"]
        process.send_signal(stop)
        process.wait()
    assert list((cache / "downloads" / "objects").iterdir()) == []
    site.put("/cats.mp4", mp4, content_type=MP4)
    assert get(url) == (mp4, False)  # and nothing is left at work: `get` looks
    assert get(url) == (mp4, True)


def test_waiting_for_another_ends_in_time(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    url = stalling(site, mp4)
    with child(url, cache) as process:
        start(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("news")
        with pytest.raises(DownloadError, match=r"within 0\.3 seconds") as caught:
            get(url, download_timeout=0.3)
    assert caught.value.retryable
    get(with_headers(site, b"dogs", {}, "/dogs.mp4"))  # removes what the other has left


def test_who_waits_in_vain_has_the_copy_that_is_there(
    site: Site, mp4: bytes, settings: Callable[..., Settings], get: Callable[..., Any], cache: Path
):
    url = with_headers(site, mp4, LATER)
    get(url)
    stalling(site, mp4)
    with child(url, cache) as process:
        start(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("news")
        with open_source(url, settings(download_timeout=0.3)) as file:
            assert file.path.read_bytes() == mp4
            assert "somebody else who is at it" in file.warnings[0]
    get(with_headers(site, b"dogs", {}, "/dogs.mp4"))


def test_waiting_counts_as_downloading(site: Site, mp4: bytes, get: Callable[..., Any], settings: Any):
    """Who has waited for all of the time has none left for a download of its own."""
    url = stalling(site, mp4)
    errors: list[DownloadError] = []

    def ask() -> None:
        try:
            get(url, download_timeout=1.0)
        except DownloadError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5.0)
        assert not thread.is_alive()
    assert ["was not downloaded within" in str(error) for error in errors] == [True] * 3
