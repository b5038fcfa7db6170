import io
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from video_tool.errors import (
    QuestionError,
    SourceError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceTooLargeError,
    StorageError,
    VideoToolError,
)
from video_tool.settings import Settings
from video_tool.sources import SourceFile, open_source


def refused(source: Any, error: type[VideoToolError], **limits: Any) -> VideoToolError:
    """The error that opening gives, after a look at what every error has to have."""
    with pytest.raises(error) as caught, open_source(source, Settings(**limits)):
        pytest.fail("it was opened")
    assert caught.value.hint
    assert not caught.value.retryable
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def cats(tmp_path: Path) -> Path:
    path = tmp_path / "cats.mp4"
    path.write_bytes(b"meow")
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_a_local_file_stays_where_it_is(cats: Path, kind: type[Any]):
    with open_source(kind(cats), Settings()) as file:
        assert file == SourceFile(cats.resolve(), "cats.mp4")
    assert cats.read_bytes() == b"meow"


def test_a_relative_path_becomes_absolute(cats: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(cats.parent)
    cats.rename("concat:cats.mp4")
    with open_source("concat:cats.mp4", Settings()) as file:
        assert file.path == cats.parent / "concat:cats.mp4"


def test_a_tilde_is_the_home_folder(cats: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(cats.parent))
    with open_source("~/cats.mp4", Settings()) as file:
        assert file.path == cats


def test_names_with_spaces_around_are_names(cats: Path):
    odd = cats.rename(cats.with_name("cats.mp4 "))
    with open_source(str(odd), Settings()) as file:
        assert file.path == odd


@pytest.mark.parametrize("path", ["missing.mp4", "~nobody-of-this-name/a.mp4", "a\0b.mp4", "x" * 5000, "a\nb.mp4"])
def test_a_missing_file(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert "there is no file" in str(refused(path, SourceNotFoundError))


def test_a_path_through_a_file(cats: Path):
    refused(cats / "kitten.mp4", SourceNotFoundError)


@pytest.mark.parametrize("wrap", [str, Path])
def test_a_mistyped_url_keeps_its_secrets(wrap: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    error = refused(wrap("https:/user:SECRET@example.org/a.mp4?sig=SECRET"), SourceNotFoundError)
    assert "SECRET" not in str(error)
    assert "as text" in error.hint


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert "a directory" in str(refused(tmp_path, SourceRefusedError))
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe" in str(refused(tmp_path / "pipe", SourceRefusedError))
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert "a socket" in str(refused("socket", SourceRefusedError))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is readable here")
def test_an_unreadable_file_is_refused(cats: Path):
    cats.chmod(0)
    assert "permission denied" in str(refused(cats, SourceRefusedError))


def test_a_name_that_begins_with_a_dash_is_refused():
    refused("-cats.mp4", SourceRefusedError)


@pytest.mark.parametrize("source", ["", "  ", 5, None, ["cats.mp4"]])
def test_what_is_no_reference(source: Any):
    refused(source, QuestionError)


def test_bytes_are_a_private_file_for_as_long_as_needed(temp_folder: Path):
    with open_source(b"meow", Settings()) as file:
        assert file.name == "bytes"
        assert file.path.read_bytes() == b"meow"
        assert file.path.parent.parent == temp_folder
        assert file.path.parent.stat().st_mode & 0o077 == 0
    assert not file.path.exists()


def test_a_file_object_is_read_from_where_it_stands(cats: Path):
    with cats.open("rb") as stream:
        stream.seek(1)
        with open_source(stream, Settings()) as file:
            assert file.name == "cats.mp4"
            assert file.path.read_bytes() == b"eow"


def test_a_file_object_without_a_name():
    with open_source(io.BytesIO(b"meow"), Settings()) as file:
        assert file.name == "file object"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_the_private_file_goes_whatever_happens(error: type[BaseException]):
    # The fixture of the temp folder looks for what is left.
    with pytest.raises(error), open_source(b"meow", Settings()):
        raise error


def test_a_file_object_may_hold_so_much():
    with open_source(io.BytesIO(b"meow"), Settings(max_download_bytes=4)):
        pass
    error = refused(io.BytesIO(b"meows"), SourceTooLargeError, max_download_bytes=4)
    assert "4 bytes" in str(error)


def test_an_endless_file_object():
    with open("/dev/zero", "rb") as stream:  # noqa: PTH123
        refused(stream, SourceTooLargeError, max_download_bytes=3 << 20)


def test_a_text_file_object_is_refused(cats: Path):
    with cats.open() as stream:
        assert "as text" in str(refused(stream, QuestionError))


def test_a_closed_file_object_is_refused(cats: Path):
    stream = cats.open("rb")
    stream.close()
    refused(stream, QuestionError)


def test_a_file_object_that_fails(tmp_path: Path):
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("wb") as write_only:
        refused(write_only, VideoToolError)
    with socket.socket() as unconnected, unconnected.makefile("rb") as stream:
        refused(stream, SourceError)


def test_a_full_temp_folder(small_files_only: None):
    assert "temp folder" in str(refused(bytes(5 << 20), StorageError))


def test_a_missing_temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert "temp folder" in str(refused(b"meow", StorageError))


def test_importing_the_stage_imports_no_downloader():
    code = "import sys, video_tool.sources; sys.exit('yt_dlp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
