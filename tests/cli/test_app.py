import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.conftest import Program
from video_tool.cli.app import app
from video_tool.errors import VideoToolError

HEAVY = {"av", "decord", "numpy", "torch", "transformers", "yt_dlp"}
PRINT_MODULES = "\nimport sys\nprint(*sys.modules)"


def test_help_lists_the_commands() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"})

    assert shown.exit_code == 0
    for command in ("ask", "frames", "probe", "doctor"):
        assert re.search(rf"^\W*{command} ", shown.output, re.MULTILINE)


def test_help_explains_every_exit_code() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).output

    for code in {0, 130, 143} | {error.exit_code for error in _tree(VideoToolError)}:
        assert re.search(rf"\b{code}\b +\w+", shown.partition("Exit codes")[2]), code


def _tree(error: type[VideoToolError]) -> Iterator[type[VideoToolError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _tree(kind)


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "--help"], ["--version"], ["nonsense"]])
def test_what_needs_no_video_loads_nothing_heavy(program: Program, arguments: list[str]) -> None:
    code = f"from video_tool.cli import main\ntry:\n    main({arguments})\nexcept SystemExit:\n    pass{PRINT_MODULES}"
    modules = set(program(code=code).stdout.splitlines()[-1].split())

    assert "video_tool.cli.app" in modules
    assert modules & HEAVY == set()


def test_the_package_is_imported_without_anything_heavy(program: Program) -> None:
    modules = set(program(code=f"import video_tool{PRINT_MODULES}").stdout.split())

    assert modules & (HEAVY | {"pydantic", "rich", "typer"}) == set()


def test_version(program: Program) -> None:
    done = program("--version")

    assert re.fullmatch(r"video-tool \d+\.\d+\.\d+\n", done.stdout)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["nonsense"], ["probe", "a.mp4", "b.mp4"], ["ask", "?", "--num-frames", "x"]])
def test_a_wrong_command_line_is_usage(program: Program, arguments: list[str]) -> None:
    done = program(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: video-tool" in done.stderr


def test_an_unexpected_error_is_a_traceback(program: Program) -> None:
    code = """
from video_tool.cli.app import app, main
@app.command()
def broken() -> None:
    raise ZeroDivisionError("a bug")
main(["broken"])
"""
    done = program(code=code)

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: a bug\n")


def test_an_error_is_one_line_whatever_is_in_it(program: Program) -> None:
    code = r"""
from video_tool.cli.app import app, main
from video_tool.errors import OutOfMemoryError
@app.command()
def broken() -> None:
    raise OutOfMemoryError("two\nlines, \x1b[31mred\x1b[0m, \udce9 and [bold]", hint="Do so.")
main(["broken"])
"""
    done = program(code=code)

    assert done.returncode == 6
    assert done.stderr == "video-tool: two lines, \\x1b[31mred\\x1b[0m, \\udce9 and [bold]. Do so\n"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_quietly(environment: dict[str, str], stop: signal.Signals, code: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "video_tool", "probe", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    try:
        assert child.stdin is not None
        # More than a pipe holds: when all of it is gone, the child is reading a video that never ends.
        child.stdin.write(bytes(1 << 22))
        child.stdin.flush()
        child.send_signal(stop)
        out, err = child.communicate()
    finally:
        child.kill()

    assert (child.returncode, out, err) == (code, b"", b"")


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_leaves_is_no_error(environment: dict[str, str], video: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "video_tool", "probe", video],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_one_line(environment: dict[str, str], video: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "video_tool", "probe", video],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.startswith(b"video-tool: stdout can't be written")
    assert done.stderr.count(b"\n") == 1
