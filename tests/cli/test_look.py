import os
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from video_tool.answer import VideoInfo


def test_probe_prints_what_is_known(run: Run, video: Path) -> None:
    done = run("probe", video)

    info = VideoInfo.model_validate_json(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (info.name, info.width, info.height, info.total_frames) == ("ten.mp4", 64, 48, 10)
    assert info.duration == pytest.approx(1.0, abs=0.01)


def test_a_video_elsewhere_is_refused_with_what_allows_it(run: Run, video: Path, tmp_path: Path) -> None:
    done = run("probe", video, env={"VIDEO_TOOL_ALLOWED_ROOTS": str(tmp_path)})

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "outside the folders that may be read" in done.stderr
    assert f"set VIDEO_TOOL_ALLOWED_ROOTS to its folder, {video.parent.resolve()}" in done.stderr
    allowed = run("probe", video, env={"VIDEO_TOOL_ALLOWED_ROOTS": f"{tmp_path}{os.pathsep}{video.parent}"})
    assert allowed.returncode == 0


def test_a_video_on_stdin(run: Run, video: Path) -> None:
    done = run("probe", "-", stdin=video.read_bytes())

    assert done.returncode == 0
    assert VideoInfo.model_validate_json(done.stdout).total_frames == 10


def test_a_name_that_is_no_text(run: Run, video: Path, tmp_path: Path) -> None:
    copy = tmp_path / os.fsdecode(b"caf\xe9 [red].mp4")
    try:
        copy.write_bytes(video.read_bytes())
    except OSError:
        pytest.skip("this file system takes text only")
    done = run("probe", copy)

    assert (done.returncode, done.stderr) == (0, "")
    assert VideoInfo.model_validate_json(done.stdout).width == 64
    assert "[red]" in run("frames", copy, "-o", tmp_path / "sheet.png").stderr


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP")])
def test_frames_draws_a_sheet(run: Run, video: Path, tmp_path: Path, name: str, kind: str) -> None:
    done = run("frames", video, "-o", tmp_path / name, "--num-frames", "4", "--columns", "2")

    assert (done.returncode, done.stdout) == (0, "")
    assert "ten.mp4 · 64×48" in done.stderr
    assert "4 of 10 frames" in done.stderr
    with Image.open(tmp_path / name) as sheet:
        assert sheet.format == kind
        assert sheet.width > 2 * 320
        assert sheet.height > 2 * 240


def test_frames_warns_of_fewer_than_asked_for(run: Run, video: Path, tmp_path: Path) -> None:
    done = run("frames", video, "-o", tmp_path / "sheet.png", "--num-frames", "20")

    assert done.returncode == 0
    assert "10 of 10 frames" in done.stderr
    assert "warning: ten.mp4 has 10 frames" in done.stderr


def test_a_sheet_is_a_picture(run: Run, video: Path, tmp_path: Path) -> None:
    done = run("frames", video, "-o", video)

    assert done.returncode == 2
    assert done.stderr.startswith("video-tool: a contact sheet can't be written as ten.mp4")
    assert video.read_bytes()[4:8] == b"ftyp"


def test_a_sheet_that_cannot_be_written(run: Run, video: Path, tmp_path: Path) -> None:
    done = run("frames", video, "-o", tmp_path / "missing" / "sheet.png")

    assert (done.returncode, done.stdout) == (1, "")
    assert "can't be written: No such file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_video_that_fails_leaves_the_old_sheet(run: Run, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"old")

    assert run("frames", tmp_path / "missing.mp4", "-o", sheet).returncode == 3
    assert sheet.read_bytes() == b"old"
