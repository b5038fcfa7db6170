import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import video_tool
from tests.cli.conftest import Program, Run
from tests.serve import serve
from tests.serving import serve_model
from video_tool import VideoQA
from video_tool.cli.app import app
from video_tool.settings import DEFAULT_MODEL, Settings

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_a_machine_that_has_all_is_ready(checkpoint: Path) -> None:
    done = doctor("--model", checkpoint, "--device", "cpu")

    assert (done.exit_code, done.stderr) == (0, "")
    for words in (
        "Packages",
        "Extras",
        "Devices",
        "cpu",
        "float32",
        "sdpa",
        str(checkpoint),
        "A question can be asked",
    ):
        assert words in done.stdout


def test_json_lists_every_dependency_and_extra_of_the_project(checkpoint: Path) -> None:
    found = _findings(doctor("--json", "--model", checkpoint))

    assert found["ready"] is True
    assert found["problems"] == []
    names = {re.split(r"[^\w.-]", line)[0] for line in PROJECT["dependencies"]}
    assert {package["name"] for package in found["packages"]} == names
    assert {package["needed"] for package in found["packages"]} == set(PROJECT["dependencies"])
    assert {extra["name"] for extra in found["extras"]} == set(PROJECT["optional-dependencies"])
    assert "pip install 'video-tool[mcp]'" in {extra["install"] for extra in found["extras"]}
    assert found["devices"][0]["device"] == "cpu"


def test_settings_in_force(checkpoint: Path) -> None:
    found = _findings(doctor("--json", env={"VIDEO_TOOL_MODEL": str(checkpoint), "VIDEO_TOOL_NUM_FRAMES": "5"}))

    settings = {setting["variable"]: setting for setting in found["settings"]}
    assert {name.removeprefix("VIDEO_TOOL_").lower() for name in settings} == set(Settings.model_fields)
    assert settings["VIDEO_TOOL_NUM_FRAMES"] == {"variable": "VIDEO_TOOL_NUM_FRAMES", "value": 5, "default": False}
    assert settings["VIDEO_TOOL_MAX_FRAMES"]["default"] is True
    assert settings["VIDEO_TOOL_ALLOWED_ROOTS"]["value"].split(os.pathsep)[0] == str(Path.cwd())
    assert found["model"]["id"] == str(checkpoint)


def test_settings_are_shown_as_their_variables_are_written(tmp_path: Path) -> None:
    given = {
        "VIDEO_TOOL_ALLOWED_HOSTS": "nas.local,10.0.0.7",
        "VIDEO_TOOL_ALLOW_PRIVATE_NETWORKS": "true",
        "VIDEO_TOOL_ALLOWED_ROOTS": f"{tmp_path}{os.pathsep}{tmp_path / 'more'}",
        "VIDEO_TOOL_COOKIES_FILE": str(tmp_path / "cookies.txt"),
    }
    found = _findings(doctor("--json", "--model", "builtin", env=given))
    settings = {setting["variable"]: setting for setting in found["settings"] if not setting["default"]}
    assert {name: setting["value"] for name, setting in settings.items()} == given | {
        "VIDEO_TOOL_ALLOW_PRIVATE_NETWORKS": True
    }
    table = doctor("--model", "builtin", env=given).stdout
    assert "nas.local,10.0.0.7" in table
    assert "VIDEO_TOOL_ALLOWED_DOMAINS" in table


def test_a_model_that_is_to_be_downloaded(program: Program, tmp_path: Path) -> None:
    found = _findings(program("doctor", "--json"))

    assert found["ready"] is True
    assert found["model"]["id"] == DEFAULT_MODEL
    assert "downloads" in found["model"]["state"]
    assert found["model"]["cache"].startswith(str(tmp_path / "hf"))
    assert any("research only" in note for note in found["notes"])


def test_a_model_that_is_downloaded(program: Program, tmp_path: Path, checkpoint: Path) -> None:
    model = tmp_path / "hf" / "hub" / "models--some--model"
    shutil.copytree(checkpoint, model / "snapshots" / "0123")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123")
    code = """
from contextlib import suppress
from video_tool.cli import main
for model in ("some/model", "other/model"):
    with suppress(SystemExit):
        main(["doctor", "--json", "--model", model])
    print("---")
"""
    done = program(code=code, env={"HF_HUB_OFFLINE": "1"})

    assert done.stderr == ""
    here, elsewhere = map(json.loads, done.stdout.split("---\n")[:2])
    assert (here["model"]["state"], here["model"]["kind"]) == ("downloaded", "chat")
    assert elsewhere["ready"] is False
    assert "other/model is not downloaded" in elsewhere["problems"][0]


def test_the_model_in_the_package() -> None:
    assert _findings(doctor("--json", "--model", "builtin"))["model"]["state"] == "in the package"


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["--model", "/no/such/folder"], {}, "/no/such/folder is neither"),
        (["--model", "{empty}"], {}, "config.json"),
        (["--device", "abacus"], {}, "abacus"),
        (["--dtype", "int3"], {}, "int3"),
        ([], {"VIDEO_TOOL_MAX_FRAMES": "none"}, "VIDEO_TOOL_MAX_FRAMES=none"),
    ],
)
def test_what_is_missing_is_said_and_fails(
    tmp_path: Path, arguments: list[str], env: dict[str, str], words: str
) -> None:
    done = doctor(*(argument.format(empty=tmp_path) for argument in arguments), env=env)

    assert (done.exit_code, done.stderr) == (1, "")
    assert words in done.stdout.partition("Missing")[2]
    assert "A question can be asked" not in done.stdout


def test_a_model_on_a_server() -> None:
    with serve_model(VideoQA("builtin")) as server:
        at = ("--base-url", server.base_url)
        found = _findings(doctor("--json", "--model", "openai:small", *at))
        assert (found["ready"], found["choice"], found["model"]["cache"]) == (True, None, None)
        assert found["model"]["state"] == f"{server.base_url} answers and has it"
        table = doctor("--model", "openai:small", env={"VIDEO_TOOL_BASE_URL": server.base_url})
        assert table.exit_code == 0
        assert "answers and has it" in table.stdout
        (problem,) = _findings(doctor("--json", "--model", "openai:large", *at))["problems"]
        assert problem == f"{server.base_url} does not have large. It has small"
        server.api_key = "sesame"
        (problem,) = _findings(doctor("--json", "--model", "openai:small", *at, env={"OPENAI_API_KEY": "mellon"}))[
            "problems"
        ]
        assert "401" in problem
        assert "mellon" not in problem
        found = _findings(doctor("--json", "--model", "openai:small", *at, env={"OPENAI_API_KEY": "sesame"}))
        assert found["ready"] is True


def test_a_server_that_is_none(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://user:hunter2@127.0.0.1:{bound.getsockname()[1]}/v1"
        done = doctor("--model", "openai:small", env={"VIDEO_TOOL_BASE_URL": url})
    assert done.exit_code == 1
    assert "can't be reached" in done.stdout.partition("Missing")[2]
    assert "hunter2" not in done.stdout
    with serve() as site:
        (problem,) = _findings(doctor("--json", "--model", "openai:", "--base-url", site.url))["problems"]
        assert "names no model" in problem
        found = _findings(doctor("--json", "--model", "openai:small", "--base-url", site.url))
        assert (found["ready"], found["model"]["state"]) == (True, f"{site.url} answers, and has no list of its models")
        for body, content_type in ((b"<html>", "text/html"), (b"[1]", "application/json"), (b"{}", "application/json")):
            site.put("/models", body, content_type=content_type)
            (problem,) = _findings(doctor("--json", "--model", "openai:small", "--base-url", site.url))["problems"]
            assert "base_url" in problem


def test_packages_that_cannot_be_imported(program: Program) -> None:
    # `None` is how Python itself notes that a module is not to be had.
    none = "import sys\nsys.modules['torch'] = sys.modules['decord'] = None\n"
    done = program(code=f"{none}from video_tool.cli import main\nmain(['doctor'])")

    assert (done.returncode, done.stderr) == (1, "")
    for package in ("torch", "decord2"):
        assert re.search(rf"✗ +{package} can't be imported", done.stdout.partition("Missing")[2])


def test_a_package_that_is_missing_or_too_old(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Metadata earlier on the path wins: another release of ours, which wants what nobody has.
    metadata = tmp_path / "path" / "video_tool-9.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(
        "Metadata-Version: 2.4\nName: video-tool\nVersion: 9.0\n"
        "Requires-Dist: typer>=999.1\nRequires-Dist: no-such-package>=2\nRequires-Dist: rich>=1.0\n"
        'Provides-Extra: more\nRequires-Dist: no-such-extra>=1; extra == "more"\n'
    )
    monkeypatch.syspath_prepend(tmp_path / "path")
    done = run("doctor")
    missing = done.stdout.partition("Missing")[2]

    assert (done.returncode, done.stderr) == (1, "")
    assert "is too old: pip install 'typer>=999.1'" in missing
    assert "no-such-package is not installed: pip install 'no-such-package>=2'" in missing
    assert "rich" not in missing
    assert "– more pip install 'video-tool[more]'" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_a_source_tree_that_is_not_installed(environment: dict[str, str], checkpoint: Path, tmp_path: Path) -> None:
    # All that is installed beside us, without our own metadata; -S keeps the real folder of packages out.
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(typer.__file__).parents[1].iterdir():
        if not entry.name.startswith("video_tool-"):
            (packages / entry.name).symlink_to(entry)
    source = Path(video_tool.__file__).parents[1]
    env = environment | {"PYTHONPATH": f"{source}{os.pathsep}{packages}"}

    def run_it(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-S", "-m", "video_tool", *arguments]
        return subprocess.run(command, capture_output=True, env=env, check=False)

    done = run_it("doctor", "--json", "--model", str(checkpoint))
    found = json.loads(done.stdout)
    assert (done.returncode, found["ready"], found["version"]) == (0, True, None)
    assert any("runs from its source" in note for note in found["notes"])
    assert b"not installed" in run_it("--version").stdout


def doctor(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    """In this process, where torch needs to be imported once for all tests."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith("VIDEO_TOOL_")), None)
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)], env={"COLUMNS": "200", **unset, **(env or {})})


def _findings(done: Result | subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stderr == ""
    return json.loads(done.stdout)
