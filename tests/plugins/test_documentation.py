"""The package that docs/plugins.md shows is one: installed, all of it works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.programs import install, unmeasured

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"

ASK = """
import json, sys
from my_plugins import sources
from pathlib import Path
from video_tool import VideoQA

sources.FOLDER = Path(sys.argv[1])
answer = VideoQA("mine:small").ask("How many?", ["nas:video.npy"], strategy="ends")
print(json.dumps([answer.text, answer.videos[0].reader, [frame.index for frame in answer.frames]]))
"""


def test_it_installs_and_answers(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, body in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    (source / "my_plugins" / "__init__.py").touch()
    site = install(source, tmp_path / "site")
    np.save(tmp_path / "video.npy", np.zeros((30, 24, 32, 3), np.uint8))
    env = unmeasured() | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stderr
        return done

    listed = json.loads(run("-m", "video_tool", "plugins", "--json").stdout)
    assert [
        (each["kind"], each["name"], each["status"]) for each in listed if each["distribution"] == "my-plugins"
    ] == [
        ("models", "mine", "works"),
        ("families", "mine", "works"),
        ("sources", "nas", "works"),
        ("readers", "npy", "works"),
        ("samplers", "ends", "works"),
    ]
    assert json.loads(run("-c", ASK, tmp_path).stdout) == ["2 frames", "npy", [0, 29]]
