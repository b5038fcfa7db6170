"""The examples run, as the README says they do."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.programs import unmeasured
from tests.serve import serve
from video_tool.adapters import shared_toolbox
from video_tool.builtin import DEMO_VIDEO
from video_tool.builtin.clips import random_clip, render, write_video

EXAMPLES = Path(__file__).parents[1] / "examples"
ALLOWED = {"VIDEO_TOOL_ALLOWED_HOSTS": "127.0.0.1"}  # where these tests have their server

Run = Callable[..., tuple[str, str]]


def run_alone(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=unmeasured() | ALLOWED,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs an example in this process, where torch needs to be imported once for all tests: stdout and stderr."""

    def run_it(name: str, *arguments: str) -> tuple[str, str]:
        for variable, value in ALLOWED.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capfd.readouterr()
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capfd.readouterr()

    return run_it


def clip(path: Path, motion: str) -> str:
    drawn = random_clip(
        np.random.default_rng(4), width=128, height=96, shape="square", colour="blue", motions=(motion,)
    )
    write_video(path, render(drawn, np.arange(30) / 30), fps=15)
    return str(path)


def test_ask_local(run: Run) -> None:
    out, _ = run("ask_local.py")
    lines = out.splitlines()
    assert lines[0] == "A red circle is first moving right, then growing."
    assert lines[1] == "  frame 0 at 0.00 s"
    assert len(lines) == 9


def test_ask_url(run: Run) -> None:
    with serve() as site:
        out, err = run("ask_url.py", site.put("/clips/demo.mp4", DEMO_VIDEO.read_bytes(), content_type="video/mp4"))
    assert out.splitlines() == [
        "A red circle is first moving right, then growing.",
        "  8 frames of demo.mp4, 4.0 s long",
    ]
    assert f"of {DEMO_VIDEO.stat().st_size:,} bytes" in err


def test_ask_url_says_what_to_do_when_there_is_nothing() -> None:
    with serve() as site:
        done = run_alone("ask_url.py", site.put("/gone.mp4", b"", status=404))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Check the address." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_finds_the_tools_by_their_entry_points(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDEO_TOOL_MODEL", "builtin")
    shared_toolbox.cache_clear()
    asked = json.dumps({"question": "What happens in the video?", "videos": [str(DEMO_VIDEO)]})
    told = {(): "video_qa(question, videos,", ("video_qa", asked): "A red circle", ("video_qa", "{}"): "is missing"}
    for arguments, words in told.items():
        monkeypatch.setattr(sys, "argv", ["host.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / "host.py"), run_name="__main__")
        assert words in capsys.readouterr().out
        assert ended.value.code == (words == "is missing")
    shared_toolbox.cache_clear()


def test_compare_two_videos(run: Run, tmp_path: Path) -> None:
    out, _ = run("compare_two_videos.py", clip(tmp_path / "one.mp4", "left"), clip(tmp_path / "two.mp4", "shrinking"))
    answers = [line.split("  (")[0].strip() for line in out.splitlines()[1::2]]
    assert answers == [
        "In the first video it is moving left. In the second video it is shrinking. So no.",
        "A blue square is moving left.",
        "A blue square is shrinking.",
    ]
