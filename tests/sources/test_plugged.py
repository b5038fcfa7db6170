"""References with a scheme of a plugin's, within the same ceilings as all others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from video_tool import Settings
from video_tool.errors import (
    DownloadError,
    NoVideoError,
    SourceError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceTooLargeError,
)
from video_tool.frames import read_video
from video_tool.progress import Progress
from video_tool.question import Sampling
from video_tool.sources import open_source
from video_tool.sources.plugged import SOURCES, plugged_source

pytestmark = pytest.mark.usefixtures("plugged")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("SHELF", str(folder))
    return folder


@pytest.mark.parametrize(
    "reference", ["shelf:a.mp4", "shelf://a.mp4", "SHELF:a.mp4", " shelf:a.mp4 ", "shelf:a.mp4?key=1"]
)
def test_what_is_behind_it_is_had_as_a_file(reference: str, shelf: Path) -> None:
    content = os.urandom(3 << 20)
    (shelf / "a.mp4").write_bytes(content)
    news: list[Progress] = []
    with open_source(reference, Settings(), news.append) as file:
        assert file.path.read_bytes() == content
        assert (file.name, file.from_cache, file.warnings) == ("a.mp4", False, ())
        assert not file.path.is_relative_to(shelf)
        folder = file.path.parent
    assert not folder.exists()
    assert {(each.stage, each.subject, each.unit) for each in news} == {("download", "a.mp4", "bytes")}
    assert (news[0].done, news[-1].done) == (1 << 20, len(content))


def test_it_is_read_like_any_other_file(shelf: Path, lossless_videos: tuple[Path, Path]) -> None:
    (shelf / "a.mkv").write_bytes(lossless_videos[0].read_bytes())
    (shelf / "b.mp4").write_text("#EXTM3U")
    assert read_video("shelf:a.mkv", Sampling(), Settings()).info.total_frames == 10
    with pytest.raises(NoVideoError):
        read_video("shelf:b.mp4", Sampling(), Settings())


def test_the_ceilings_hold(shelf: Path) -> None:
    with (
        pytest.raises(SourceTooLargeError, match="endless is larger than 5,000,000 bytes"),
        open_source("shelf:endless", Settings(max_download_bytes=5_000_000)),
    ):
        pass
    with (
        pytest.raises(DownloadError, match=r"endless was not downloaded within 0\.001 seconds"),
        open_source("shelf:endless", Settings(download_timeout=0.001, max_download_bytes=1 << 40)),
    ):
        pass


@pytest.mark.parametrize(
    ("reference", "error", "message", "retryable"),
    [
        ("shelf:absent.mp4", SourceNotFoundError, "the plugin shelf of Other_Plugins 1.5 finds no absent.mp4", False),
        ("shelf:locked", SourceRefusedError, "the plugin shelf of Other_Plugins 1.5 may not open locked", False),
        ("shelf:private", SourceRefusedError, "^it is nobody's business$", False),
        ("shelf:torn", DownloadError, "Other_Plugins 1.5 failed: ConnectionResetError: .*the shelf fell down", True),
        ("shelf:broken", DownloadError, "Other_Plugins 1.5 failed: ZeroDivisionError: of its own", False),
        ("shelf:nothing", SourceError, "gave NoneType, and no bytes to read", False),
        ("shelf:text", SourceError, "gave str, and no bytes to read", False),
        ("shelf://[", SourceRefusedError, "its host is malformed", False),
    ],
)
def test_what_fails_is_a_typed_error_that_names_the_plugin(
    reference: str, error: type[SourceError], message: str, retryable: bool, shelf: Path
) -> None:
    with pytest.raises(SourceError, match=message) as caught, open_source(reference, Settings()):
        pass
    assert type(caught.value) is error
    assert caught.value.hint
    assert caught.value.retryable is retryable
    assert "hunter2" not in caught.value.message


def test_an_error_of_who_uses_the_file_is_not_the_plugins(shelf: Path) -> None:
    (shelf / "a.mp4").write_bytes(b"content")
    with pytest.raises(ZeroDivisionError), open_source("shelf:a.mp4", Settings()):
        raise ZeroDivisionError


def test_paths_and_urls_never_get_to_a_plugin(
    shelf: Path, broken_plugin_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shelf / "a.mp4").write_bytes(b"the plugin's")
    monkeypatch.chdir(tmp_path)
    Path("shelf:a.mp4").write_bytes(b"the path's")
    with open_source("shelf:a.mp4", Settings()) as file:
        assert file.path.read_bytes() == b"the path's"
    with open_source("shelf://a.mp4", Settings()) as file:
        assert file.path.read_bytes() == b"the plugin's"
    with pytest.raises(SourceNotFoundError), open_source(Path("shelf:b.mp4"), Settings()):
        pass
    # one says that https and file are its schemes
    monkeypatch.syspath_prepend(broken_plugin_site)
    monkeypatch.setattr(SOURCES, "_found", {})
    with pytest.warns(RuntimeWarning, match=r"zz-broken-plugins 0.1 is left out"):
        assert "https" not in SOURCES.use(None).offers
    for reference in ("https://example.org/a.mp4", "HTTPS://example.org", "file:/etc/passwd", "data:,a", "C:/a.mp4"):
        assert plugged_source(reference, Settings()) is None
    with pytest.raises(SourceRefusedError, match="outside the folders"), open_source("/etc/hostname", Settings()):
        pass


def test_a_scheme_that_nobody_has_is_refused_with_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for settings, known in (
        (Settings(), "only http, https and shelf URLs are fetched, not s3"),
        (Settings(plugins=()), "only http and https URLs are fetched, not s3"),
    ):
        with pytest.raises(SourceRefusedError, match=known), open_source("s3://bucket/a.mp4", settings):
            pass
    with pytest.raises(SourceNotFoundError, match="there is no file"), open_source("shelf:a", Settings(plugins=())):
        pass
