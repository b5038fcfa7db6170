"""`video-tool plugins`, and what the other commands make of plugins."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Program, Run


@pytest.fixture
def shelf(video: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where the plugin's source has its files."""
    return {"SHELF": str(video.parent)}


def test_all_are_listed_with_what_is_wrong_with_some(
    run: Run, plugged: Path, broken_plugin_site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(broken_plugin_site)
    done = run("plugins", "--json")
    found = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (1, "")
    assert {(each["kind"], each["name"]) for each in found if each["distribution"] == "Other_Plugins"} >= {
        ("models", "parrot"),
        ("families", "marked"),
        ("sources", "shelf"),
        ("readers", "scripted"),
        ("samplers", "ends"),
    }
    assert {
        "distribution": "zz-broken-plugins",
        "version": "0.1",
        "kind": "samplers",
        "name": "quits",
        "status": "broken",
        "why": "SystemExit: no display",
    } in found
    table = run("plugins").stdout
    assert len([line for line in table.splitlines() if line.startswith(("Other", "zz"))]) == len(found)
    assert "samplers  quits      broken: SystemExit: no display" in table


def test_those_that_the_setting_leaves_out_are_not_loaded(run: Run, plugged: Path, broken_plugin_site: Path) -> None:
    env = {"VIDEO_TOOL_PLUGINS": "other-plugins", "PYTHONPATH": os.environ["PYTHONPATH"]}
    done = run("plugins", "--json", env=env)
    assert done.returncode == 0
    assert {each["status"] for each in json.loads(done.stdout)} == {"works"}
    done = run("plugins", "--json", env=env | {"VIDEO_TOOL_PLUGINS": ""})
    assert done.returncode == 0
    assert [(each["name"], each["status"]) for each in json.loads(done.stdout)] == [
        (name, "off") for name in ("backend", "family", "source", "reader", "sampler")
    ]


def test_where_there_are_none(program: Program) -> None:
    done = program("plugins")
    assert (done.returncode, done.stdout, done.stderr) == (0, "No package adds anything.\n", "")


def test_a_question_goes_through_them(run: Run, plugged: Path, shelf: dict[str, str]) -> None:
    done = run("ask", "What moves?", "shelf:ten.mp4", "--model", "parrot:grey", "--strategy", "ends", env=shelf)
    assert (done.returncode, done.stdout) == (0, "2 frames: What moves? []\n")


def test_frames_and_fetch_take_them_too(run: Run, plugged: Path, shelf: dict[str, str], tmp_path: Path) -> None:
    sheet, copy = tmp_path / "sheet.png", tmp_path / "copy.mp4"
    assert run("frames", "shelf:ten.mp4", "-o", sheet, "--strategy", "ends", env=shelf).returncode == 0
    assert sheet.is_file()
    done = run("fetch", "shelf:ten.mp4", "-o", copy, env=shelf)
    assert (done.returncode, done.stdout.strip()) == (0, str(copy))
    assert copy.read_bytes() == (Path(shelf["SHELF"]) / "ten.mp4").read_bytes()
    assert run("fetch", "shelf:absent.mp4", "-o", copy, env=shelf).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--strategy", "golden"), 2, "there is no strategy 'golden'. Give one of uniform, keyframes, scenes, ends"),
        (("--model", "dodo:grey"), 6, "there is no backend dodo. There is openai:, parrot:"),
    ],
)
def test_names_that_nobody_has_are_told_with_those_there_are(
    arguments: tuple[str, ...], code: int, words: str, run: Run, plugged: Path, video: Path
) -> None:
    done = run("ask", "What moves?", video, "--model", "parrot:grey", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_broken_one_is_one_warning_on_stderr(
    program: Program, plugin_site: Path, broken_plugin_site: Path, video: Path
) -> None:
    path = os.pathsep.join([str(plugin_site), str(broken_plugin_site), os.environ.get("PYTHONPATH", "")])
    done = program("ask", "What moves?", video, "--model", "parrot:grey", env={"PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (0, "8 frames: What moves? []\n")
    for name in ("models: openai", "models: raises", "readers: no-reader"):
        assert done.stderr.count(f"warning: video_tool.{name} of zz-broken-plugins 0.1 is left out: ") == 1


def test_doctor_lists_them(run: Run, plugged: Path, broken_plugin_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(broken_plugin_site)
    done = run("doctor", "--model", "parrot:grey", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ready"], found["choice"]) == (0, True, None)
    assert found["model"]["state"] == "run by the plugin parrot of Other_Plugins 1.5"
    assert {"works", "broken"} == {each["status"] for each in found["plugins"]}
    done = run("doctor", "--model", "dodo:grey")
    assert done.returncode == 1
    assert "there is no backend dodo" in done.stdout.partition("Missing")[2]
    assert "models, of Other_Plugins 1.5" in done.stdout
    assert "samplers, of zz-broken-plugins 0.1: SystemExit: no display" in done.stdout
