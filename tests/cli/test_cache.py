import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.serve import Site, serve


@pytest.fixture
def site(environment: dict[str, str]) -> Iterator[Site]:
    environment["NO_PROXY"] = environment["VIDEO_TOOL_ALLOWED_HOSTS"] = "127.0.0.1"
    with serve() as site:
        yield site


@pytest.fixture
def kept(run: Run, site: Site, video: Path) -> str:
    """A video in the cache; its address."""
    url = site.put("/ten.mp4", video.read_bytes(), content_type="video/mp4") + "?token=SECRET"
    done = run("probe", url)
    assert done.returncode == 0
    assert "from the cache" not in done.stdout
    return url


def shown(run: Run) -> dict[str, Any]:
    done = run("cache", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_an_empty_cache(run: Run, environment: dict[str, str]) -> None:
    found = shown(run)

    assert found["folder"] == str(Path(environment["VIDEO_TOOL_CACHE_DIR"]) / "downloads")
    assert (found["bytes"], found["max_bytes"], found["downloads"]) == (0, 5 << 30, [])
    assert run("cache").stdout == f"{found['folder']}: 0 bytes of 5.4 GB\n"
    assert run("cache", "verify").returncode == 0
    assert run("cache", "clear").stderr == "0 bytes removed\n"


def test_what_is_kept_is_listed_without_secrets(run: Run, site: Site, kept: str, video: Path) -> None:
    found = shown(run)
    table = run("cache").stdout

    (download,) = found["downloads"]
    assert download["address"] == f"{site.url}/ten.mp4"
    assert download["bytes"] == found["bytes"] == video.stat().st_size
    assert download["fetched"] <= download["used"] < download["fresh_until"]
    assert f"{site.url}/ten.mp4" in table
    assert "SECRET" not in table


@pytest.mark.parametrize("command", ["probe", "frames", "ask"])
def test_commands_take_it_from_the_cache_unless_told_not_to(
    run: Run, site: Site, kept: str, tmp_path: Path, command: str
) -> None:
    arguments = {
        "probe": ["probe", kept],
        "frames": ["frames", kept, "-o", str(tmp_path / "sheet.png")],
        "ask": ["ask", "What happens?", kept, "--model", "builtin", "--json"],
    }[command]
    hits = site.hits["/ten.mp4"]
    done = run(*arguments)

    assert done.returncode == 0, done.stderr
    assert site.hits["/ten.mp4"] == hits
    if command == "ask":
        assert json.loads(done.stdout)["videos"][0]["from_cache"] is True
    else:
        assert "· from the cache" in done.stdout + done.stderr

    if command != "ask":  # which takes the same way
        assert run(*arguments, "--no-cache").returncode == 0
        assert site.hits["/ten.mp4"] > hits


def test_without_the_cache_nothing_is_kept(run: Run, site: Site, video: Path, environment: dict[str, str]) -> None:
    url = site.put("/ten.mp4", video.read_bytes(), content_type="video/mp4")

    assert run("probe", url, "--no-cache").returncode == 0
    assert not Path(environment["VIDEO_TOOL_CACHE_DIR"]).exists()


def test_clearing(run: Run, kept: str) -> None:
    done = run("cache", "clear")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith(" removed\n")
    assert shown(run)["downloads"] == []


def test_verifying(run: Run, site: Site, kept: str, environment: dict[str, str]) -> None:
    done = run("cache", "verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 files as they were stored")

    (file,) = (Path(environment["VIDEO_TOOL_CACHE_DIR"]) / "downloads" / "objects").iterdir()
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    done = run("cache", "verify", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"files": 0, "bytes": 0, "damaged": [f"{site.url}/ten.mp4"]}
    assert run("cache", "verify").returncode == 0


def test_json_is_asked_of_one_command(run: Run) -> None:
    done = run("cache", "--json", "verify")

    assert (done.returncode, done.stdout) == (2, "")
    assert "--json belongs behind" in done.stderr


def test_a_folder_that_can_not_be_used(run: Run, environment: dict[str, str]) -> None:
    Path(environment["VIDEO_TOOL_CACHE_DIR"]).write_text("in the way")
    for command in (["cache"], ["cache", "clear"], ["cache", "verify"]):
        done = run(*command)

        assert (done.returncode, done.stdout) == (1, "")
        assert "can't be used" in done.stderr
        assert done.stderr.count("\n") == 1
