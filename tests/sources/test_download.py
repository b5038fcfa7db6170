import io
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.serve import Site
from video_tool.errors import (
    DownloadError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceTooLargeError,
    StorageError,
    VideoToolError,
)
from video_tool.progress import Progress
from video_tool.settings import Settings
from video_tool.sources import open_source

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n"
HLS = "application/vnd.apple.mpegurl"


def content(url: str, **limits: Any) -> bytes:
    with open_source(url, Settings(**limits)) as file:
        return file.path.read_bytes()


def refused(url: str, error: type[VideoToolError], *, retryable: bool = False, **limits: Any) -> VideoToolError:
    """The error that fetching gives, after a look at what every error has to have."""
    with pytest.raises(error) as caught:
        content(url, **limits)
    assert type(caught.value) is error
    assert caught.value.hint
    assert caught.value.retryable is retryable
    assert "SECRET" not in str(caught.value) + caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("with_length", [True, False])
@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/cats.mp4", "video/mp4"),
        ("/cats", None),
        ("/cats", "application/octet-stream"),
        ("/cats.php", "video/mp4"),
        ("/cats.exe", "video/mp4"),
        ("/cats.html", "text/html"),
    ],
)
def test_a_video_comes_whatever_its_address_looks_like(
    site: Site, mp4: bytes, path: str, content_type: str | None, with_length: bool
):
    with open_source(
        site.put(path, mp4, content_type=content_type, with_length=with_length) + "?k=v", Settings()
    ) as file:
        assert file.name == path[1:]
        assert file.path.read_bytes() == mp4
        with av.open(file.path) as container:
            assert sum(1 for _ in container.decode(video=0)) == 10
    assert not file.path.exists()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize("extension", [True, False])
def test_images_come_too(site: Site, kind: str, extension: bool):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind)
    url = site.put(f"/image.{kind}" if extension else "/image", file.getvalue(), content_type=f"image/{kind}")
    assert content(url) == file.getvalue()


def test_what_is_no_video_is_left_to_decoding(site: Site):
    assert content(site.put("/a.txt", b"only words", content_type="text/plain")) == b"only words"
    assert content(site.put("/a.mp3", b"ID3 only sound", content_type="audio/mpeg")) == b"ID3 only sound"


def test_progress_is_told_and_nothing_is_printed(site: Site, mp4: bytes, capfd: pytest.CaptureFixture[str]):
    news: list[Progress] = []
    with open_source(site.put("/cats.mp4", mp4, content_type="video/mp4"), Settings(), news.append):
        pass
    assert news[-1] == Progress("download", "cats.mp4", len(mp4), len(mp4), "bytes", news[-1].rate)
    assert news[-1].rate
    assert [one.done for one in news] == sorted(one.done for one in news)
    refused(site.url + "/missing.mp4", SourceNotFoundError)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_an_error_of_the_progress_callback_is_the_callers(site: Site, mp4: bytes, error: type[BaseException]):
    def stop(progress: Progress) -> None:
        raise error("enough")

    with (
        pytest.raises(error, match="enough") as caught,
        open_source(site.put("/cats.mp4", mp4, content_type="video/mp4"), Settings(), stop),
    ):
        pytest.fail("it went on")
    assert type(caught.value) is error


def test_redirects_are_followed(site: Site, mp4: bytes):
    site.put("/cats.mp4", mp4, content_type="video/mp4")
    site.redirect("/there", "/cats.mp4?k=v")
    with open_source(site.redirect("/here", site.url + "/there"), Settings()) as file:
        assert file.name == "here"
        assert file.path.read_bytes() == mp4


def test_redirects_that_lead_nowhere(site: Site):
    refused(site.redirect("/circle", "/circle"), DownloadError)
    for target in ("file:///etc/hostname", "ftp://127.0.0.1/a.mp4", "data:video/mp4;base64,AAAA"):
        refused(site.redirect("/other", target), SourceRefusedError)


def test_a_password_in_the_address_is_used_and_not_told(site: Site, mp4: bytes):
    url = site.put("/cats.mp4", mp4, content_type="video/mp4", user_and_password="dXNlcjpTRUNSRVQ=")
    url = url.replace("http://", "http://user:{}@")
    assert content(url.format("SECRET")) == mp4
    assert "401" in str(refused(url.format("NOSECRET"), SourceRefusedError))


def test_the_video_of_a_page(site: Site, mp4: bytes):
    site.put("/cats.mp4", mp4, content_type="video/mp4")
    site.put("/dogs.mp4", b"dogs", content_type="video/mp4")
    one = f"<html><video src='{site.url}/cats.mp4'></video></html>"
    two = f"{one}<video src='{site.url}/dogs.mp4'></video>"
    assert content(site.put("/one.html", one.encode(), content_type="text/html")) == mp4
    assert content(site.put("/two.html", two.encode(), content_type="text/html")) == mp4
    assert site.hits["/dogs.mp4"] == 0


def test_a_page_without_video(site: Site):
    page = b"<html><body>SECRET words</body></html>"
    refused(site.put("/page.html", page, content_type="text/html") + "?SECRET", SourceNotFoundError)
    drawing = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    feed = b"<rss><channel><title>nothing yet</title></channel></rss>"
    refused(site.put("/feed.xml", feed, content_type="text/xml"), SourceNotFoundError)
    refused(site.put("/a.svg", drawing, content_type="image/svg+xml"), SourceNotFoundError)


def test_a_playlist_of_segments(site: Site, mp4: bytes):
    site.put("/cats.mp4", mp4, content_type="video/mp4")
    whole = PLAYLIST.format("cats.mp4") + "#EXT-X-ENDLIST\n"
    url = site.put("/vod.m3u8", whole.encode(), content_type=HLS)
    assert content(url) == mp4
    refused(url, SourceTooLargeError, max_download_bytes=len(mp4) - 1)


def test_a_playlist_that_leads_to_a_local_file(site: Site, tmp_path: Path):
    (tmp_path / "canary").write_text("SECRET")
    playlist = PLAYLIST.format((tmp_path / "canary").as_uri()) + "#EXT-X-ENDLIST\n"
    refused(site.put("/evil.m3u8", playlist.encode(), content_type=HLS), SourceRefusedError)


def test_a_live_stream_is_refused(site: Site, mp4: bytes):
    site.put("/cats.mp4", mp4)
    url = site.put("/live.m3u8", PLAYLIST.format("cats.mp4").encode(), content_type=HLS)
    assert "live" in str(refused(url + "?SECRET", SourceRefusedError))
    assert site.hits["/cats.mp4"] == 0


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (400, DownloadError, False),
        (401, SourceRefusedError, False),
        (403, SourceRefusedError, False),
        (404, SourceNotFoundError, False),
        (410, SourceNotFoundError, False),
        (429, DownloadError, True),
        (451, SourceRefusedError, False),
        (500, DownloadError, True),
        (503, DownloadError, True),
    ],
)
def test_what_a_status_means(site: Site, status: int, error: type[VideoToolError], retryable: bool):
    url = site.put("/cats.mp4", b"SECRET", status=status)
    said = refused(url + "?SECRET", error, retryable=retryable)
    assert str(status) in str(said)
    assert said.retry_after == (60 if status == 429 else None)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("given", ["120", "date", "-5", "soon"])
def test_when_to_ask_again(site: Site, status: int, given: str):
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True) if given == "date" else given
    url = site.put("/cats.mp4", status=status, headers=(("Retry-After", value),))
    pause = refused(url, DownloadError, retryable=True).retry_after
    if given in ("120", "date"):
        assert pause == pytest.approx(120, abs=20)
    else:
        assert pause == (60 if status == 429 else None)


def test_an_empty_answer(site: Site):
    assert "0 bytes" in str(refused(site.put("/cats.mp4", content_type="video/mp4"), SourceNotFoundError))


def test_an_unreachable_host(unused_port: int):
    url = f"http://user:SECRET@127.0.0.1:{unused_port}/cats.mp4?SECRET"
    assert "can't be reached" in str(refused(url, DownloadError, retryable=True, allowed_hosts=("127.0.0.1",)))


def test_a_download_that_breaks_off(site: Site, mp4: bytes):
    url = site.put("/cats.mp4", mp4, content_type="video/mp4", announced=len(mp4) + 1)
    assert "broke off" in str(refused(url, DownloadError, retryable=True))


def test_as_many_bytes_as_allowed(site: Site, mp4: bytes):
    for with_length in (True, False):
        url = site.put("/cats.mp4", mp4, content_type="video/mp4", with_length=with_length)
        assert content(url, max_download_bytes=len(mp4)) == mp4
        refused(url, SourceTooLargeError, max_download_bytes=len(mp4) - 1)


@pytest.mark.parametrize("with_length", [True, False])
@pytest.mark.parametrize(
    ("body", "content_type"), [(bytes(1 << 20), "video/mp4"), (b"<html>" + b"x" * (1 << 20), "text/html")]
)
def test_a_larger_file_is_left_when_that_shows(site: Site, body: bytes, content_type: str, with_length: bool):
    url = site.put("/large", body, content_type=content_type, with_length=with_length, repeat=64)
    refused(url, SourceTooLargeError, max_download_bytes=100_000)
    assert site.sent["/large"] < 32 << 20  # what the sockets of both sides held


@pytest.mark.parametrize(
    ("content_type", "drip_after"), [("video/mp4", 2000), ("video/mp4", 0), ("text/html", 6), ("text/html", 0)]
)
def test_a_server_that_drips_is_left_in_time(site: Site, mp4: bytes, content_type: str, drip_after: int):
    body = mp4 if content_type == "video/mp4" else b"<html>" + mp4
    url = site.put("/drip", body, content_type=content_type, drip_after=drip_after)
    error = refused(url + "?SECRET", DownloadError, retryable=True, download_timeout=0.3)
    assert "0.3 seconds" in str(error)


@pytest.mark.parametrize("content_type", ["video/mp4", "text/html"])
def test_a_server_that_stalls_is_left_in_time(site: Site, mp4: bytes, content_type: str):
    url = site.put("/stall", b"<html>" + mp4, content_type=content_type, stall_after=2000)
    refused(url + "?SECRET", DownloadError, retryable=True, download_timeout=0.3)


def test_a_server_that_fails_half_way(site: Site, mp4: bytes):
    url = site.put("/cats.mp4", mp4, content_type="video/mp4", later_status=503)
    assert "503" in str(refused(url, DownloadError, retryable=True))
    assert site.hits["/cats.mp4"] > 2  # it was tried again


def test_a_full_temp_folder(site: Site, mp4: bytes, small_files_only: None):
    large = mp4 + bytes(5 << 20)
    assert "temp folder" in str(refused(site.put("/cats.mp4", large, content_type="video/mp4"), StorageError))


def test_plugins_of_others_do_not_run(site: Site, mp4: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plugin = tmp_path / "yt_dlp_plugins" / "extractor" / "spy.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    from yt_dlp.globals import all_plugins_loaded

    monkeypatch.setattr(all_plugins_loaded, "value", False)
    content(site.put("/cats.mp4", mp4, content_type="video/mp4"))
    assert not (tmp_path / "ran").exists()
