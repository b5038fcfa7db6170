"""How much a download may take: bytes in memory and on disk, and seconds, whatever the server does."""

import gzip
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.serve import Site
from video_tool.errors import DownloadError, SourceError, SourceTooLargeError
from video_tool.progress import Progress
from video_tool.settings import Settings
from video_tool.sources import open_source
from video_tool.sources.bodies import PAGE_CEILING

HLS = "application/vnd.apple.mpegurl"
MIB = 1 << 20


@contextmanager
def most_on_disk(folder: Path) -> Iterator[list[int]]:
    """Look again and again how many bytes lie below a folder; the most are in the list at the end."""
    most = [0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            for private in folder.iterdir():
                try:
                    most[0] = max(most[0], sum(path.stat().st_size for path in private.iterdir()))
                except OSError:
                    continue  # gone meanwhile

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def too_large(url: str, folder: Path, max_bytes: int) -> None:
    """Fetching it ends for its size, and never were there more bytes on disk than the ceiling and 1 MiB."""
    with most_on_disk(folder) as most, pytest.raises(SourceError) as caught:
        content(url, max_download_bytes=max_bytes)
    assert type(caught.value) is SourceTooLargeError
    assert most[0] <= max_bytes + MIB


def content(url: str, **limits: Any) -> bytes:
    with open_source(url, Settings(**limits)) as file:
        return file.path.read_bytes()


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("with_length", [True, False])
def test_the_ceiling_for_a_file(site: Site, temp_folder: Path, encoding: str | None, with_length: bool):
    plain = b"\0" * (2 * MIB)
    body = {None: bytes, "gzip": gzip.compress, "deflate": zlib.compress}[encoding](plain)
    headers = (("Content-Encoding", encoding),) if encoding else ()
    url = site.put("/a.mp4", body, content_type="video/mp4", with_length=with_length, headers=headers)
    too_large(url, temp_folder, MIB // 4)
    too_large(url, temp_folder, len(plain) - 1)
    assert content(url, max_download_bytes=len(plain)) == plain


@pytest.mark.parametrize("size", [MIB // 2, 2 * MIB])
def test_the_ceiling_for_a_stream_in_segments(site: Site, temp_folder: Path, size: int):
    count = 8 * MIB // size
    site.put("/a.ts", b"\0" * size)
    segments = "".join(f"#EXTINF:1,\na.ts?{number}\n" for number in range(count))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{segments}#EXT-X-ENDLIST\n"
    url = site.put("/a.m3u8", playlist.encode(), content_type=HLS)
    too_large(url, temp_folder, 5 * MIB)
    assert len(content(url, max_download_bytes=count * size + size + MIB)) == count * size


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_small_page_that_stands_for_a_large_one(site: Site, encoding: str):
    compress = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = compress.compress(b"<html>") + b"".join(compress.compress(bytes(MIB)) for _ in range(64)) + compress.flush()
    assert len(bomb) < MIB
    url = site.put("/a.html", bomb, content_type="text/html", headers=(("Content-Encoding", encoding),))
    tracemalloc.start()
    try:
        with pytest.raises(SourceTooLargeError) as caught:
            content(url)
        assert tracemalloc.get_traced_memory()[1] < 3 * PAGE_CEILING
    finally:
        tracemalloc.stop()
    assert "page" in str(caught.value)


def test_a_page_that_never_ends(site: Site):
    url = site.put("/a.html", b"<html>" + b" " * MIB, content_type="text/html", with_length=False, repeat=200)
    with pytest.raises(SourceTooLargeError, match="page"):
        content(url)
    assert site.sent["/a.html"] < PAGE_CEILING + 16 * MIB  # and what the sockets of both sides held, twice


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"meow" * 1000)),
        ("x-gzip", gzip.compress(b"meow" * 1000)),
        ("GZIP", gzip.compress(b"meow" * 1000) + b"junk at the end"),
        ("deflate", zlib.compress(b"meow" * 1000)),
        ("deflate", zlib.compress(b"meow" * 1000, wbits=-15)),
        ("identity", b"meow" * 1000),
    ],
    ids=["gzip", "x-gzip", "gzip and junk", "deflate", "deflate without frame", "identity"],
)
def test_compressed_files_come_whole(site: Site, encoding: str, body: bytes):
    url = site.put("/a.mp4", body, content_type="video/mp4", headers=(("Content-Encoding", encoding),))
    assert content(url) == b"meow" * 1000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(bytes(100_000))[:-20]), ("gzip", b"no gzip"), ("br", b"meow"), ("gzip, gzip", b"meow")],
    ids=["cut off", "not gzip", "br", "gzip twice"],
)
def test_what_is_not_compressed_as_it_says(site: Site, encoding: str, body: bytes):
    url = site.put("/a.mp4", body, content_type="video/mp4", headers=(("Content-Encoding", encoding),))
    with pytest.raises(DownloadError):
        content(url)


@pytest.mark.parametrize("where", ["headers", "page", "file", "drip", "segment", "redirect"])
def test_the_deadline(site: Site, mp4: bytes, where: str):
    content(site.put("/warm.mp4", mp4, content_type="video/mp4"))  # yt-dlp is imported by now
    stalling = site.put("/stall", stall_before=True)
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nstall\n#EXT-X-ENDLIST\n"
    url = {
        "headers": lambda: stalling,
        "page": lambda: site.put("/a", b"<html>" + mp4, content_type="text/html", stall_after=3000),
        "file": lambda: site.put("/a", mp4, content_type="video/mp4", stall_after=3000, with_length=False),
        "drip": lambda: site.put("/a", mp4, content_type="video/mp4", drip_after=0, with_length=False),
        "segment": lambda: site.put("/a.m3u8", playlist.encode(), content_type=HLS),
        "redirect": lambda: site.redirect("/a", stalling),
    }[where]()
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"within 0\.8 seconds") as caught:
        content(url, download_timeout=0.8)
    assert 0.8 <= time.monotonic() - began < 1.8
    assert caught.value.retryable


def test_progress_has_bytes_total_and_rate(site: Site):
    news: list[Progress] = []
    url = site.put("/a.mp4", b"\0" * (4 * MIB), content_type="video/mp4")
    with open_source(url, Settings(), news.append):
        pass
    assert [one.done for one in news] == sorted(one.done for one in news)
    assert {one.total for one in news} == {4 * MIB}
    assert news[-1].done == 4 * MIB
    assert news[-1].rate
    unknown: list[Progress] = []
    url = site.put("/a.mp4", b"\0" * MIB, content_type="video/mp4", with_length=False)
    with open_source(url, Settings(), unknown.append):
        pass
    assert unknown[0].total is None
