import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.programs import unmeasured
from tests.serve import Site, serve
from tests.sources.caching import FETCH, LATER, MP4, age, child, start, with_headers
from video_tool.errors import DownloadError, SourceNotFoundError, SourceRefusedError, SourceTooLargeError
from video_tool.progress import Progress
from video_tool.settings import Settings
from video_tool.sources import SourceFile, open_source
from video_tool.sources.cache import duration, store_of

# ── What is fresh ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_second_question_costs_no_request(site: Site, mp4: bytes, settings: Callable[..., Settings]):
    url = with_headers(site, mp4, {})
    with open_source(url, settings()) as file:
        assert not file.from_cache
    hits = site.hits["/cats.mp4"]
    news: list[Progress] = []
    with open_source(url, settings(), news.append) as file:
        assert file == SourceFile(file.path, "cats.mp4", from_cache=True)
        assert file.path.read_bytes() == mp4
    assert not file.path.exists()
    assert site.hits["/cats.mp4"] == hits
    assert news == [Progress("download", "cats.mp4", len(mp4), len(mp4), "bytes")]


def test_a_hit_needs_no_downloader(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    url = with_headers(site, mp4, {})
    get(url)
    code = f"{FETCH}\nsys.exit('yt_dlp' in sys.modules)"
    env = unmeasured() | {"VIDEO_TOOL_CACHE_DIR": str(cache), "VIDEO_TOOL_CACHE_MAX_BYTES": "1000000"}
    assert subprocess.run([sys.executable, "-c", code, url], input=b"\n", env=env, check=False).returncode == 0


def test_the_video_of_a_page(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    with_headers(site, mp4, {"Cache-Control": "max-age=0"})
    page = f"<html><video src='{site.url}/cats.mp4'></video></html>"
    url = site.put("/page", page.encode(), content_type="text/html", headers=(("Cache-Control", "no-store"),))
    assert get(url) == (mp4, False)
    assert get(url) == (mp4, True)
    age(cache)
    with_headers(site, b"other", {})
    assert get(url) == (b"other", False)


def test_a_playlist_of_segments(site: Site, mp4: bytes, get: Callable[..., Any]):
    with_headers(site, mp4, {})
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\ncats.mp4\n#EXT-X-ENDLIST\n"
    kind = "application/vnd.apple.mpegurl"
    url = site.put("/vod.m3u8", playlist, content_type=kind, headers=(("Cache-Control", "no-store"),))
    assert get(url) == (mp4, False)
    assert get(url) == (mp4, True)


def test_an_image(site: Site, get: Callable[..., Any]):
    url = site.put("/red.png", b"a picture", content_type="image/png")
    assert get(url) == (b"a picture", False)
    assert get(url) == (b"a picture", True)


def test_what_else_decides_the_file(site: Site, mp4: bytes, get: Callable[..., Any]):
    url = with_headers(site, mp4, {})
    assert get(url) == (mp4, False)
    assert get(url, max_height=360) == (mp4, False)
    assert get(f"{url}?v=2") == (mp4, False)
    assert get(url.replace("http://", "http://me:pass@")) == (mp4, False)
    # Other limits, and other spellings of the same address, do not.
    assert get(url.replace("http://", "HTTP://"), download_timeout=60) == (mp4, True)


def test_a_password_is_asked_for_again_from_who_has_another(site: Site, mp4: bytes, get: Callable[..., Any]):
    url = site.put("/cats.mp4", mp4, content_type=MP4, user_and_password="dXNlcjpTRUNSRVQ=")
    url = url.replace("http://", "http://user:{}@")
    assert get(url.format("SECRET")) == (mp4, False)
    assert get(url.format("SECRET")) == (mp4, True)
    with pytest.raises(SourceRefusedError):
        get(url.format("GUESS"))


def test_a_refused_address_is_refused_though_it_is_kept(site: Site, mp4: bytes, get: Callable[..., Any]):
    url = with_headers(site, mp4, {})
    get(url)
    with pytest.raises(SourceRefusedError):
        get(url.replace("http://", "ftp://"))


def test_no_secret_gets_to_the_disk(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    with_headers(site, mp4, LATER)
    url = site.redirect("/here", f"{site.url}/cats.mp4?token=SECRET").replace("http://", "http://user:SECRET@")
    assert get(f"{url}?sig=SECRET#SECRET") == (mp4, False)
    written = [path for path in cache.rglob("*") if path.is_file()]
    assert len(written) > 2
    for path in written:
        assert b"SECRET" not in os.fsencode(path) + path.read_bytes()


# ── What the server says ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "max-age=0", "ETag": '"1"'},
        {"Cache-Control": "no-cache", "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"},
        {"Expires": "0", "ETag": 'W/"1"', "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"},
    ],
)
def test_what_is_not_fresh_is_asked_for_and_comes_only_if_it_changed(
    site: Site, mp4: bytes, get: Callable[..., Any], headers: dict[str, str]
):
    url = with_headers(site, mp4, headers)
    assert get(url) == (mp4, False)
    sent = site.sent["/cats.mp4"]
    assert get(url) == (mp4, True)
    assert get(url) == (mp4, True)
    assert site.not_modified["/cats.mp4"] == 2
    assert site.sent["/cats.mp4"] == sent
    with_headers(site, b"changed", headers | {"ETag": '"2"', "Last-Modified": "Mon, 10 Sep 2001 01:46:40 GMT"})
    assert get(url) == (b"changed", False)
    assert get(url) == (b"changed", True)


def test_a_304_makes_a_copy_fresh_again(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    url = with_headers(site, mp4, {"Cache-Control": "max-age=60", "ETag": '"1"'})
    get(url)
    age(cache)
    assert get(url) == (mp4, True)
    hits = site.hits["/cats.mp4"]
    assert get(url) == (mp4, True)
    assert (site.hits["/cats.mp4"], site.not_modified["/cats.mp4"]) == (hits, 1)


def test_what_can_not_be_asked_for_comes_again(site: Site, mp4: bytes, get: Callable[..., Any]):
    url = with_headers(site, mp4, {"Cache-Control": "max-age=0"})
    assert get(url) == (mp4, False)
    assert get(url) == (mp4, False)


def test_what_may_not_be_kept_is_not(
    site: Site, mp4: bytes, get: Callable[..., Any], settings: Callable[..., Settings]
):
    url = with_headers(site, mp4, LATER)
    get(url)
    with_headers(site, b"secret", {"Cache-Control": "no-store"})
    assert get(url) == (b"secret", False)
    assert store_of(settings()).kept() == []


def test_redirects_are_asked_again_where_they_lead(site: Site, mp4: bytes, get: Callable[..., Any]):
    with_headers(site, mp4, LATER)
    with_headers(site, b"dogs", LATER, "/dogs.mp4")
    url = site.redirect("/here", "/cats.mp4")
    assert get(url) == (mp4, False)
    assert get(url) == (mp4, True)
    assert site.not_modified["/cats.mp4"] == 1
    site.redirect("/here", "/dogs.mp4")  # whose tag happens to be the same
    assert get(url) == (b"dogs", False)
    assert get(url) == (b"dogs", True)


def test_a_copy_that_was_evicted_is_not_asked_about(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    url = with_headers(site, mp4, LATER)
    get(url)
    for path in (cache / "downloads" / "objects").iterdir():
        path.unlink()
    assert get(url) == (mp4, False)
    assert site.not_modified["/cats.mp4"] == 0


# ── When the server fails ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_is_gone_leaves_the_copy_and_a_warning(
    site: Site, mp4: bytes, settings: Callable[..., Settings], cache: Path
):
    with serve() as other, open_source(with_headers(other, mp4, {"ETag": '"1"'}), settings()):
        url = f"{other.url}/cats.mp4"
    age(cache)
    with open_source(url, settings()) as file:
        assert file.path.read_bytes() == mp4
        assert file.from_cache
        (warning,) = file.warnings
    assert warning.startswith("cats.mp4 is a copy that was current")
    assert "can't be reached" in warning


@pytest.mark.parametrize("control", ["no-cache", "max-age=0, must-revalidate"])
def test_a_copy_that_must_be_checked_is_not_used_unchecked(
    site: Site, mp4: bytes, get: Callable[..., Any], control: str
):
    url = with_headers(site, mp4, {"Cache-Control": control, "ETag": '"1"'})
    get(url)
    site.put("/cats.mp4", status=503)
    with pytest.raises(DownloadError) as caught:
        get(url)
    assert caught.value.retryable


@pytest.mark.parametrize(("status", "error"), [(404, SourceNotFoundError), (403, SourceRefusedError)])
def test_what_the_server_no_longer_gives_is_forgotten(
    site: Site, mp4: bytes, get: Callable[..., Any], status: int, error: type[Exception]
):
    url = with_headers(site, mp4, LATER)
    get(url)
    site.put("/cats.mp4", status=status)
    with pytest.raises(error):
        get(url)
    site.put("/cats.mp4", status=503)
    with pytest.raises(DownloadError):
        get(url)


# ── Limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_limit_of_bytes_holds_for_copies(site: Site, mp4: bytes, get: Callable[..., Any]):
    url = with_headers(site, mp4, {})
    get(url)
    assert get(url, max_download_bytes=len(mp4)) == (mp4, True)
    with pytest.raises(SourceTooLargeError):
        get(url, max_download_bytes=len(mp4) - 1)
    assert get(url) == (mp4, True)


def test_what_is_larger_than_the_cache_comes_without_it(site: Site, mp4: bytes, get: Callable[..., Any]):
    url = with_headers(site, mp4, {})
    assert get(url, cache_max_bytes=len(mp4) - 1) == (mp4, False)
    assert get(url, cache_max_bytes=len(mp4)) == (mp4, False)
    assert get(url, cache_max_bytes=len(mp4)) == (mp4, True)


def test_a_cache_of_no_bytes_is_not_touched(site: Site, mp4: bytes, get: Callable[..., Any], cache: Path):
    url = with_headers(site, mp4, {})
    assert get(url, cache_max_bytes=0) == (mp4, False)
    assert get(url, cache_max_bytes=0) == (mp4, False)
    assert not cache.exists()


def test_a_file_in_use_outlives_its_eviction(site: Site, mp4: bytes, settings: Callable[..., Settings], get: Any):
    limit = {"cache_max_bytes": len(mp4) + 100}
    cats, dogs = with_headers(site, mp4, {}), with_headers(site, mp4 + b"dogs", {}, "/dogs.mp4")
    get(cats, **limit)
    with open_source(cats, settings(**limit)) as file:
        assert file.from_cache
        assert get(dogs, **limit) == (mp4 + b"dogs", False)
        assert [entry.name for entry, _ in store_of(settings()).kept()] == [dogs]
        assert file.path.read_bytes() == mp4
    assert get(dogs, **limit) == (mp4 + b"dogs", True)


# ── When the folder fails ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_that_can_not_be_made(site: Site, mp4: bytes, settings: Callable[..., Settings], cache: Path):
    cache.write_text("a file where the folder should be")
    with open_source(with_headers(site, mp4, {}), settings()) as file:
        assert file.path.read_bytes() == mp4
        (warning,) = file.warnings
    assert "cache can't be used" in warning


def test_a_user_without_a_home(site: Site, mp4: bytes, settings: Callable[..., Settings]):
    with open_source(with_headers(site, mp4, {}), settings(cache_dir="~no-such-user/cache")) as file:
        assert file.path.read_bytes() == mp4
        assert "no home folder" in file.warnings[0]


def test_a_download_that_can_not_be_kept(
    site: Site, mp4: bytes, settings: Callable[..., Settings], get: Callable[..., Any], cache: Path
):
    get(with_headers(site, mp4, {}))
    shutil.rmtree(cache / "downloads" / "objects")
    (cache / "downloads" / "objects").write_text("in the way")
    with pytest.raises(AssertionError):
        get(with_headers(site, b"dogs", {}, "/dogs.mp4"))
    with open_source(site.url + "/dogs.mp4", settings()) as file:
        assert file.path.read_bytes() == b"dogs"
        assert file.warnings


def test_a_full_disk(site: Site, mp4: bytes, cache: Path):
    """With a file system of 256 KiB as the cache, for one process only."""
    unshare = ["unshare", "--map-root-user", "--mount"]
    if sys.platform != "linux" or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user can't make a file system")
    cache.mkdir()
    large = mp4 + bytes(300_000)
    mount = [*unshare, "sh", "-c", 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"', str(cache)]
    with child(with_headers(site, large, {}), cache, *mount) as process:
        start(process)
        assert process.stdout is not None
        *_, last = (line for line in process.stdout if not line.startswith("news"))
    assert "False The cache can't be used" in last


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3000, "50 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_durations_are_shown_in_the_unit_that_suits_them(seconds: float, shown: str):
    assert duration(seconds) == shown
