import os
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Program, Run
from video_tool.cli.options import read_timestamps
from video_tool.errors import QuestionError
from video_tool.frames.report import VideoReport


def test_probe_tells_what_is_known(program: Program, video: Path) -> None:
    done = program("probe", video, "--json")

    report = VideoReport.model_validate_json(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (report.name, report.container, report.size_bytes) == ("ten.mp4", "mov", video.stat().st_size)
    assert report.video
    assert (report.video.width, report.video.height, report.video.total_frames) == (64, 48, 10)
    assert report.video.duration == pytest.approx(1.0, abs=0.01)
    assert [(stream.kind, stream.codec, stream.read) for stream in report.streams] == [("video", "mpeg4", True)]


def test_probe_tells_a_person(run: Run, video: Path) -> None:
    done = run("probe", video)

    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        "ten.mp4 · mov · ",
        "64×48 · 1.00 s · 10 frames",
        "mpeg4",
        "yuv420p",
        "3,072 of 33,554,432",
        "✓ within",
    ):
        assert part in done.stdout


def test_probe_describes_what_is_refused(run: Run, video: Path) -> None:
    done = run("probe", video, "--json", env={"VIDEO_TOOL_MAX_PIXELS": "3000"})

    report = VideoReport.model_validate_json(done.stdout)
    assert done.returncode == 4
    assert "above the ceiling of 3000 pixels" in done.stderr
    assert report.refusal
    assert report.refusal.message in done.stderr
    assert report.video is None
    assert [ceiling.setting for ceiling in report.ceilings if ceiling.exceeded] == ["max_pixels"]
    assert (report.streams[0].width, report.streams[0].height) == (64, 48)
    told = run("probe", video, env={"VIDEO_TOOL_MAX_PIXELS": "3000"})
    assert "3,072 of 3,000" in told.stdout
    assert "within" not in told.stdout


def test_a_video_elsewhere_is_refused_with_what_allows_it(run: Run, video: Path, tmp_path: Path) -> None:
    done = run("probe", video, env={"VIDEO_TOOL_ALLOWED_ROOTS": str(tmp_path)})

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "outside the folders that may be read" in done.stderr
    assert f"set VIDEO_TOOL_ALLOWED_ROOTS to its folder, {video.parent.resolve()}" in done.stderr
    allowed = run("probe", video, env={"VIDEO_TOOL_ALLOWED_ROOTS": f"{tmp_path}{os.pathsep}{video.parent}"})
    assert allowed.returncode == 0


def test_a_video_on_stdin(program: Program, video: Path) -> None:
    done = program("probe", "-", "--json", stdin=video.read_bytes())

    assert done.returncode == 0
    assert '"total_frames": 10' in done.stdout


def test_a_name_that_is_no_text(program: Program, video: Path, tmp_path: Path) -> None:
    copy = tmp_path / os.fsdecode(b"caf\xe9 [red].mp4")
    try:
        copy.write_bytes(video.read_bytes())
    except OSError:
        pytest.skip("this file system takes text only")
    done = program("probe", copy, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    assert '"width": 64' in done.stdout
    assert "[red]" in program("frames", copy, "-o", tmp_path / "sheet.png").stderr


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


def test_frames_of_scenes_and_at_moments(run: Run, video: Path, tmp_path: Path) -> None:
    done = run("frames", video, "-o", tmp_path / "a.png", "--timestamps", "0.2, 0.55,0.9")

    assert (done.returncode, done.stdout) == (0, "")
    assert "3 of 10 frames" in done.stderr
    done = run("frames", video, "-o", tmp_path / "b.png", "--strategy", "scenes", "--num-frames", "2")
    assert "2 of 10 frames" in done.stderr


def test_moments_that_are_no_numbers() -> None:
    with pytest.raises(QuestionError, match="--timestamps is 1;2") as caught:
        read_timestamps("1;2")
    assert "1.5,4,7" in caught.value.hint
    assert read_timestamps(None) is None
    assert read_timestamps("3,1.5") == (3, 1.5)
