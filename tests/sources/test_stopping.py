"""Downloads that nobody waits for any more: they end at once, whatever the server does, and leave nothing behind."""

from __future__ import annotations

import io
import itertools
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.serve import Site
from tests.sources.caching import LATER, MP4, age, stalling, with_headers
from tests.stopping import SECONDS, once, stop_when, threads_called
from video_tool import CancelScope
from video_tool.errors import CancelledError, DeadlineError
from video_tool.settings import Settings
from video_tool.sources import open_source
from video_tool.sources.egress import EgressProxy
from video_tool.sources.locking import operating_system_lock
from video_tool.sources.ytdlp import Aborted, ConfinedYoutubeDL

PATIENT = {"download_timeout": 2 * SECONDS}


@pytest.fixture
def fetch(settings: Callable[..., Settings]) -> Callable[..., bytes]:
    """Downloads through the cache, and says of each block that it has come."""

    def download(url: str, on_block: Callable[[], object] = lambda: None, **changes: Any) -> bytes:
        with open_source(url, settings(**PATIENT | changes), lambda _: on_block()) as file:
            return file.path.read_bytes()

    return download


def silent(site: Site, mp4: bytes) -> str:
    return site.put("/cats.mp4", mp4, content_type=MP4, stall_before=True)


def dripping(site: Site, mp4: bytes) -> str:
    return site.put("/cats.mp4", mp4 + bytes(1 << 16), content_type=MP4, drip_after=1 << 16)


def endless(site: Site, mp4: bytes) -> str:
    return site.put("/cats.mp4", bytes(1 << 16), content_type=MP4, with_length=False, repeat=1 << 30)


def behind_redirects(site: Site, mp4: bytes) -> str:
    return site.redirect("/cats", silent(site, mp4))


def in_segments(site: Site, mp4: bytes) -> str:
    site.put("/1.ts", bytes(1 << 17), content_type="video/mp2t")
    site.put("/2.ts", bytes(1 << 17), content_type="video/mp2t", stall_after=1 << 16)
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:9", *("#EXTINF:9,\n/1.ts", "#EXTINF:9,\n/2.ts"), "#EXT-X-ENDLIST")
    return site.put("/cats.m3u8", "\n".join(lines).encode(), content_type="application/vnd.apple.mpegurl")


@pytest.mark.parametrize("server", [silent, behind_redirects])
def test_a_server_that_says_nothing_is_left(
    site: Site, mp4: bytes, fetch: Callable[..., bytes], cache: Path, server: Callable[[Site, bytes], str]
):
    url = server(site, mp4)

    def waiting() -> None:
        while not site.hits["/cats.mp4"]:
            assert site.asked.wait(SECONDS)

    stop_when(waiting, lambda: fetch(url))
    assert site.hits["/cats.mp4"] == 1  # it is not tried again
    nothing_is_left(cache)


@pytest.mark.parametrize("server", [dripping, stalling, endless, in_segments])
@pytest.mark.parametrize("caching", [{}, {"cache_max_bytes": 0}])
def test_a_download_is_left_in_the_middle(
    site: Site,
    mp4: bytes,
    fetch: Callable[..., bytes],
    cache: Path,
    server: Callable[[Site, bytes], str],
    caching: dict[str, int],
):
    url = server(site, mp4)
    block = threading.Event()
    stop_when(once(block), lambda: fetch(url, block.set, max_download_bytes=1 << 40, **caching))
    nothing_is_left(cache)
    asked = dict(site.hits)
    site.put("/dogs.mp4", mp4, content_type=MP4)
    assert fetch(f"{site.url}/dogs.mp4", **caching) == mp4
    assert {path: count for path, count in site.hits.items() if path != "/dogs.mp4"} == asked


def test_a_deadline_is_no_error_of_the_download(site: Site, mp4: bytes, fetch: Callable[..., bytes], cache: Path):
    with CancelScope(0.3), pytest.raises(DeadlineError, match=r"0\.3 seconds"):
        fetch(silent(site, mp4))
    nothing_is_left(cache)


def test_a_server_that_shakes_no_hands_is_left(fetch: Callable[..., bytes], cache: Path, site: Site):
    connected, left = threading.Event(), threading.Event()

    def accept() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1 << 16)  # the client's hello
            connected.set()
            while client.recv(1 << 16):
                pass
        left.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        stop_when(once(connected), lambda: fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/cats.mp4"))
        assert left.wait(SECONDS)
    nothing_is_left(cache)


def test_a_lookup_that_does_not_end_is_not_waited_for(
    fetch: Callable[..., bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
):
    asked, answer, look_up = threading.Event(), threading.Event(), socket.getaddrinfo

    def system(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "cats.example.com":
            asked.set()
            answer.wait(SECONDS)
            raise socket.gaierror(socket.EAI_AGAIN, "the name server says nothing")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", system)
    stop_when(once(asked), lambda: fetch("http://cats.example.com/cats.mp4"))
    nothing_is_left(cache)
    answer.set()


def test_waiting_for_anothers_download_is_given_up_and_that_goes_on(
    site: Site, mp4: bytes, fetch: Callable[..., bytes], settings: Callable[..., Settings], cache: Path
):
    url = stalling(site, mp4)
    came, done = threading.Event(), threading.Event()

    def other() -> None:
        with CancelScope() as scope:
            others.append(scope)
            try:
                fetch(url, came.set)
            except CancelledError:
                done.set()

    others: list[CancelScope] = []
    threading.Thread(target=other, daemon=True).start()
    assert came.wait(SECONDS)
    with CancelScope(0.3), pytest.raises(DeadlineError):
        fetch(url)
    assert not done.is_set()
    others[0].cancel()
    assert done.wait(SECONDS)
    nothing_is_left(cache)


def test_who_waits_takes_over_from_who_is_cancelled(site: Site, mp4: bytes, fetch: Callable[..., bytes], cache: Path):
    url = stalling(site, mp4)
    came = threading.Event()

    def first_to_leave() -> None:
        came.wait(SECONDS)
        waiting.append(threads.submit(fetch, url))
        site.put("/cats.mp4", mp4, content_type=MP4)

    waiting: list[Any] = []
    with ThreadPoolExecutor(1) as threads:
        stop_when(first_to_leave, lambda: fetch(url, came.set))
        assert waiting[0].result(SECONDS) == mp4
    nothing_is_left(cache)


def test_a_deadline_is_told_though_there_is_a_copy(site: Site, mp4: bytes, fetch: Callable[..., bytes], cache: Path):
    url = with_headers(site, mp4, LATER)
    assert fetch(url) == mp4
    age(cache)
    silent(site, mp4)
    with CancelScope(0.3), pytest.raises(DeadlineError):
        fetch(url)
    with_headers(site, mp4, LATER)
    assert fetch(url) == mp4
    assert site.not_modified["/cats.mp4"] == 1  # the copy is still there


def test_a_folder_that_another_process_does_not_let_go_of(
    site: Site, mp4: bytes, fetch: Callable[..., bytes], cache: Path
):
    fetch(with_headers(site, mp4, {}))
    held = operating_system_lock(cache / "downloads" / "store.lock")
    with held, CancelScope(0.3), pytest.raises(DeadlineError):
        fetch(with_headers(site, mp4, {}, "/dogs.mp4"))
    nothing_is_left(cache)


def test_a_file_that_a_site_gives_later_is_not_waited_for(site: Site, mp4: bytes, tmp_path: Path):
    url = with_headers(site, mp4, {})
    info = {"id": "1", "title": "cats", "ext": "mp4", "protocol": "http", "url": url, "available_at": time.time() + 999}
    with EgressProxy("cats", Settings()) as proxy, ConfinedYoutubeDL({"proxy": proxy.url}, "cats", 1 << 30) as ydl:
        with CancelScope(0.1), pytest.raises(Aborted) as caught:
            ydl.dl(str(tmp_path / "cats"), info)
        assert isinstance(caught.value.error, DeadlineError)
        assert not site.hits
        ydl.dl(str(tmp_path / "cats"), info | {"available_at": time.time()})
    assert (tmp_path / "cats").read_bytes() == mp4


class Endless(io.RawIOBase):
    """A file object that never ends."""

    def __init__(self, on_read: Callable[[int], object]) -> None:
        super().__init__()
        self._count = itertools.count(1)
        self._on_read = on_read

    def read(self, size: int = -1) -> bytes:
        self._on_read(next(self._count))
        return bytes(1 << 10)


def test_copying_a_file_object_ends(temp_folder: Path):
    reads: list[int] = []

    def on_read(number: int) -> None:
        reads.append(number)
        if number == 3:
            scope.cancel()

    with CancelScope() as scope, pytest.raises(CancelledError), open_source(Endless(on_read), Settings()):
        pytest.fail("it has no end")
    assert reads == [1, 2, 3]
    with (
        CancelScope(0.1),
        pytest.raises(DeadlineError),
        open_source(Endless(lambda _: None), Settings(max_download_bytes=1 << 50)),
    ):
        pytest.fail("it has no end")


def nothing_is_left(cache: Path) -> None:
    """No proxy, no work folder with what was half downloaded, no lock that is held."""
    assert threads_called("egress-proxy") == []
    downloads = cache / "downloads"
    if not downloads.exists():
        return
    assert list((downloads / "work").iterdir()) == []
    for lock in (downloads / "locks").iterdir():
        operating_system_lock(lock).acquire(blocking=False).lock.release()
