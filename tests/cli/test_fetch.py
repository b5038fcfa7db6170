from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Program, Run
from tests.serve import Site, serve


@pytest.fixture
def site(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    environment["NO_PROXY"] = environment["VIDEO_TOOL_ALLOWED_HOSTS"] = "127.0.0.1"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with serve() as site:
        site.put("/cats.mp4", b"meow", content_type="video/mp4")
        yield site


def test_the_path_that_is_printed_holds_the_file(program: Program, run: Run, site: Site) -> None:
    done = program("fetch", f"{site.url}/cats.mp4?token=SECRET")

    assert done.returncode == 0
    assert done.stdout == f"{Path.cwd() / 'cats.mp4'}\n"
    assert done.stderr == "cats.mp4 · 4 bytes\n"
    assert Path("cats.mp4").read_bytes() == b"meow"

    assert run("cache", "clear").returncode == 0
    assert Path("cats.mp4").read_bytes() == b"meow"


def test_the_second_time_it_comes_from_the_cache(run: Run, site: Site, environment: dict[str, str]) -> None:
    run("fetch", f"{site.url}/cats.mp4", "-o", "one.mp4")
    hits = site.hits["/cats.mp4"]
    done = run("fetch", f"{site.url}/cats.mp4", "-o", "two.mp4")

    assert done.stderr == "cats.mp4 · 4 bytes · from the cache\n"
    assert site.hits["/cats.mp4"] == hits
    Path("two.mp4").write_bytes(b"mine to change")
    assert run("cache", "verify").returncode == 0


def test_without_the_cache(run: Run, site: Site, environment: dict[str, str]) -> None:
    done = run("fetch", f"{site.url}/cats.mp4", "--no-cache")

    assert Path(done.stdout.strip()).read_bytes() == b"meow"
    assert not Path(environment["VIDEO_TOOL_CACHE_DIR"]).exists()


def test_a_file_or_folder_of_ones_choice(run: Run, site: Site, tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"old")
    (tmp_path / "folder").mkdir()

    assert run("fetch", f"{site.url}/cats.mp4", "-o", tmp_path / "old.mp4").stdout == f"{tmp_path / 'old.mp4'}\n"
    assert (tmp_path / "old.mp4").read_bytes() == b"meow"
    assert run("fetch", f"{site.url}/cats.mp4", "-o", tmp_path / "folder").returncode == 0
    assert (tmp_path / "folder" / "cats.mp4").read_bytes() == b"meow"


def test_what_is_there_already_is_not_replaced_unasked(run: Run, site: Site) -> None:
    Path("cats.mp4").write_bytes(b"mine")
    done = run("fetch", f"{site.url}/cats.mp4")

    assert (done.returncode, done.stdout) == (1, "")
    assert "is there already" in done.stderr
    assert Path("cats.mp4").read_bytes() == b"mine"
    assert site.hits["/cats.mp4"] == 0


def test_an_address_does_not_choose_where_it_lands(run: Run, site: Site) -> None:
    done = run("fetch", site.put("/%2E%2E%2Fescaped", b"meow", content_type="video/mp4"))

    assert done.stdout == f"{Path.cwd() / '_escaped'}\n"
    assert [file.name for file in Path.cwd().iterdir()] == ["_escaped"]


def test_what_is_no_url(run: Run) -> None:
    done = run("fetch", "cats.mp4")

    assert (done.returncode, done.stdout) == (2, "")
    assert "is no URL" in done.stderr


def test_a_download_that_fails_leaves_the_old_file(run: Run, site: Site) -> None:
    Path("old.mp4").write_bytes(b"old")

    assert run("fetch", f"{site.url}/missing.mp4", "-o", "old.mp4").returncode == 3
    assert run("fetch", "file:///etc/passwd", "-o", "old.mp4").returncode == 3
    assert Path("old.mp4").read_bytes() == b"old"


def test_a_place_that_can_not_be_written_to(run: Run, site: Site) -> None:
    done = run("fetch", f"{site.url}/cats.mp4", "-o", "missing/cats.mp4")

    assert (done.returncode, done.stdout) == (1, "")
    assert "can't be written: No such file" in done.stderr
