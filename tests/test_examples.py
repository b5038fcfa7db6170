"""The examples run, as the README says they do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.serve import serve
from video_tool.builtin import DEMO_VIDEO
from video_tool.builtin.clips import random_clip, render, write_video

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=os.environ | {"VIDEO_TOOL_ALLOWED_HOSTS": "127.0.0.1"},  # where these tests have their server
        capture_output=True,
        text=True,
        check=False,
    )


def clip(path: Path, motion: str) -> str:
    drawn = random_clip(
        np.random.default_rng(4), width=128, height=96, shape="square", colour="blue", motions=(motion,)
    )
    write_video(path, render(drawn, np.arange(30) / 30), fps=15)
    return str(path)


def test_ask_local() -> None:
    done = run("ask_local.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "A red circle is first moving right, then growing."
    assert lines[1] == "  frame 0 at 0.00 s"
    assert len(lines) == 9


def test_ask_url() -> None:
    with serve() as site:
        done = run("ask_url.py", site.put("/clips/demo.mp4", DEMO_VIDEO.read_bytes(), content_type="video/mp4"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "A red circle is first moving right, then growing.",
        "  8 frames of demo.mp4, 4.0 s long",
    ]
    assert f"of {DEMO_VIDEO.stat().st_size:,} bytes" in done.stderr


def test_ask_url_says_what_to_do_when_there_is_nothing() -> None:
    with serve() as site:
        done = run("ask_url.py", site.put("/gone.mp4", b"", status=404))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Check the address." in done.stderr
    assert "Traceback" not in done.stderr


def test_compare_two_videos(tmp_path: Path) -> None:
    done = run("compare_two_videos.py", clip(tmp_path / "one.mp4", "left"), clip(tmp_path / "two.mp4", "shrinking"))
    assert done.returncode == 0, done.stderr
    answers = [line.split("  (")[0].strip() for line in done.stdout.splitlines()[1::2]]
    assert answers == [
        "In the first video it is moving left. In the second video it is shrinking. So no.",
        "A blue square is moving left.",
        "A blue square is shrinking.",
    ]
