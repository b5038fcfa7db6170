"""Plugins are really installed, and really asked: nothing before it is needed, and a broken one harms nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import write_checkpoint
from tests.plugin_distribution.other_plugins.readers import write_scripted
from tests.programs import unmeasured
from video_tool.errors import PluginWarning
from video_tool.frames.samplers import SAMPLERS
from video_tool.plugins import Extensions, Hooks, warn_once

BROKEN = {
    "models": {"openai": "own", "builtin": "own", "raises": "ZeroDivisionError: of its own in two lines"},
    "families": {"no-family": "no subclass of Family"},
    "sources": {"https": "own", "file": "own", "number": "no function"},
    "readers": {"no-reader": "no class with reads"},
    "samplers": {
        "absent": "ModuleNotFoundError: No module named 'broken_plugins.nowhere'",
        "imports": "ModuleNotFoundError: No module named 'no_such_package'",
        "lists": "returned list",
        "misspelt": "unknown hook 'sampler'",
        "uniform": "own",
        "ends": "taken by another",
        "Two Words": "lower-case",
        "word": "no function",
        "7": "lower-case",
        "nothing": "returned NoneType",
        "quits": "SystemExit: no display",
        "raises": "ZeroDivisionError: of its own in two lines",
        "undefined": "no attribute 'Undefined'",
        "unmarked": "no function samplers that is marked with hookimpl",
        "wants": "settings",
    },
}
"""What is wrong with each that is found to be broken before it is used."""

ASK = """
import json, sys, warnings
from pathlib import Path
import numpy as np
from video_tool import FrameSequence, Settings, VideoQA
from video_tool.errors import VideoToolError

folder = Path(sys.argv[1])
settings = Settings()
frames = FrameSequence(np.zeros((10, 24, 32, 3), np.uint8), fps=10)
found = {}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(2):
        parrot = VideoQA("parrot:grey", settings=settings, device="cpu")
        found["models"] = parrot.ask("What moves?", [frames]).text
        found["sources"] = [video.name for video in parrot.ask("What moves?", ["shelf:right.mkv"]).videos]
        found["readers"] = [video.reader for video in parrot.ask("What moves?", [folder / "scripted.mp4"]).videos]
        found["samplers"] = [frame.index for frame in parrot.ask("What moves?", [frames], strategy="ends").frames]
    marked = VideoQA(folder / "checkpoint", settings=settings, device="cpu")
    marked.ask("What moves?", [frames], num_frames=2, max_new_tokens=1)
    try:
        marked.ask("What moves?", [frames], num_frames=3, max_new_tokens=1)
    except VideoToolError as error:
        found["families"] = error.hint
    builtin = VideoQA("builtin", settings=settings, device="cpu")
    found["builtin"] = builtin.ask("What color is the shape?", ["shelf:right.mkv"], strategy="ends").text
found["told"] = [str(each.message) for each in told if each.category.__name__ == "PluginWarning"]
print(json.dumps(found))
"""


def run(*arguments: str | Path, sites: tuple[Path, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with folders in its path."""
    unset = {name: value for name, value in unmeasured().items() if name != "VIDEO_TOOL_PLUGINS"}
    path = os.pathsep.join([*map(str, sites), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=unset | {"PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "200"} | environment,
    )


def told_by(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_question_through_each_kind_and_the_broken_ones_named_once(
    plugin_site: Path, broken_plugin_site: Path, lossless_videos: tuple[Path, Path], tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "checkpoint", image_token="<|marked|>")
    write_scripted(tmp_path / "scripted.mp4")
    sites = (broken_plugin_site, plugin_site)
    found = told_by(run("-c", ASK, tmp_path, sites=sites, SHELF=str(lossless_videos[0].parent)))

    assert found["models"] == "8 frames: What moves? ['device']"
    assert found["sources"] == ["right.mkv"]
    assert found["readers"] == ["scripted"]
    assert found["samplers"] == [0, 9]
    assert "num_frames to 2" in found["families"]
    assert found["builtin"]
    expected = {(kind, name): why for kind, broken in BROKEN.items() for name, why in broken.items()}
    # what fails only when it is used is named then
    expected |= {("families", "undecided"): "which family?", ("readers", "unsure"): "which file?"}
    assert len(found["told"]) == len(expected)
    for (kind, name), why in expected.items():
        (line,) = (
            line for line in found["told"] if line.startswith(f"video_tool.{kind}: {name} of zz-broken-plugins 0.1")
        )
        assert why in line


LOADED = """
import sys
from pathlib import Path

def loaded():
    # compiled when they are first imported, by whichever process
    return " ".join(sorted(path.name.partition(".")[0] for path in Path(sys.argv[1]).rglob("*.pyc")))

import video_tool
from video_tool import FrameSequence, Sampling, Settings, VideoQA
from video_tool.frames import read_image, read_video
from video_tool.models.backends import BACKENDS
from video_tool.sources import open_source
engines = VideoQA("builtin"), VideoQA("parrot:grey")
print("made:", loaded())
with open_source(sys.argv[2], Settings()):
    print("opened:", loaded())
read_video(sys.argv[2], Sampling(strategy="scenes"), Settings(plugins=()))
print("none:", loaded())
read_video(sys.argv[2], Sampling(), Settings())
print("read:", loaded())
read_video(sys.argv[2], Sampling(strategy="ends"), Settings())
print("chosen:", loaded())
try:
    read_video("shelf:nothing-there", Sampling(), Settings(), )
except FileNotFoundError:
    print("fetched:", loaded())
engines[1].load()
print("loaded:", loaded(), "torch" in sys.modules)
"""


def test_nothing_is_loaded_before_it_is_needed(
    plugin_site: Path, lossless_videos: tuple[Path, Path], tmp_path: Path
) -> None:
    site = shutil.copytree(plugin_site, tmp_path / "site", ignore=shutil.ignore_patterns("__pycache__"))
    assert run("-m", "video_tool", "--help", sites=(site,)).returncode == 0
    done = run("-c", LOADED, site, lossless_videos[0], sites=(site,), SHELF="/", PYTHONDONTWRITEBYTECODE="")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "made: ",
        "opened: ",
        "none: ",
        "read: __init__ readers",
        "chosen: __init__ readers samplers",
        "fetched: __init__ readers samplers sources",
        "loaded: __init__ models readers samplers sources False",
    ]


CHOSEN = """
import json, os, sys
from video_tool import FrameSequence, Sampling, Settings, VideoToolError
from video_tool.frames import read_video

def told(work):
    try:
        return work().info.reader
    except VideoToolError as error:
        return type(error).__name__

def both(settings):
    scripted, drawn = sys.argv[2:]
    return [
        told(lambda: read_video(scripted, Sampling(), settings)),
        told(lambda: read_video(drawn, Sampling(strategy="ends"), settings)),
    ]

def of_variable(value):
    os.environ.pop("VIDEO_TOOL_PLUGINS", None)
    if value is not None:
        os.environ["VIDEO_TOOL_PLUGINS"] = value
    return both(Settings())

ways = [of_variable(value) for value in json.loads(sys.argv[1])]
print(json.dumps([*ways, both(Settings(plugins=())), both(Settings(plugins=("other-plugins",)))]))
"""

VARIABLES = {
    None: True,
    "": False,
    " ": False,
    "other-plugins": True,
    "video-tool, OTHER.plugins": True,
    "zz-broken-plugins": False,
}


def test_the_setting_says_whose_are_loaded_here_and_where_videos_are_decoded(
    plugin_site: Path, lossless_videos: tuple[Path, Path], tmp_path: Path
) -> None:
    scripted = write_scripted(tmp_path / "scripted.mp4")
    # once more at the end: what other values made of it is forgotten
    asked = [*VARIABLES, None]
    found = told_by(run("-c", CHOSEN, json.dumps(asked), scripted, lossless_videos[0], sites=(plugin_site,)))

    reader = found[-1][1]  # whichever of ours
    assert reader.startswith("pyav")
    ways = {True: ["scripted", reader], False: ["NoVideoError", "QuestionError"]}
    loaded = [*(VARIABLES[variable] for variable in asked), False, True]
    assert dict(enumerate(found)) == dict(enumerate(ways[each] for each in loaded))


@pytest.mark.parametrize(
    ("entry_points", "why"),
    [
        (b"[video_tool.samplers]\nno equals sign\n", "Error"),
        (b"[video_tool.samplers]\na = b\xff\n", "UnicodeDecodeError"),
    ],
)
@pytest.mark.usefixtures("plugged")
def test_a_damaged_list_of_entry_points_is_named_and_left_out(
    entry_points: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "damaged-3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 3.0\n")
    (info / "entry_points.txt").write_bytes(entry_points)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(PluginWarning, match=f"video_tool.samplers of .* is left out: .*{why}"):
        found = SAMPLERS.use(None)
    assert "ends" in found.offers


def test_what_adds_nothing_is_no_error(plugged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "idle-3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: idle\nVersion: 3.0\n")
    (info / "entry_points.txt").write_text("[video_tool.samplers]\nidle = idle_plugin\n")
    (tmp_path / "idle_plugin.py").write_text(
        "from video_tool.plugins import hookimpl\n@hookimpl\ndef samplers():\n    return {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = (each for each in SAMPLERS.use(None).plugins if each.distribution == "idle")
    assert (found.name, found.status, found.why) == ("idle", "off", "it adds nothing")


def test_a_warning_is_given_once() -> None:
    warn_once.cache_clear()
    with pytest.warns(PluginWarning) as told:
        _ = [warn_once(f"{letter} is left out") for letter in "aab" * 2]
    assert [str(each.message) for each in told] == ["a is left out", "b is left out"]
    assert issubclass(PluginWarning, RuntimeWarning)


def test_every_hook_says_what_it_is_for() -> None:
    kinds = [name for name in vars(Hooks) if not name.startswith("_")]
    assert kinds == list(BROKEN)
    for kind in kinds:
        text = str(getattr(Hooks, kind).__doc__)
        for told in ("Called in the process that", "Raised is a", "@hookimpl", f"def {kind}():"):
            assert told in text


def test_what_has_been_found_is_kept() -> None:
    extensions: Extensions[Any] = Extensions("samplers", (), lambda offer: "")
    assert extensions.find(("a",)) is extensions.find(("A",))
    assert extensions.find(()) is not extensions.find(None)
