import inspect
import json
import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from tests.cli.conftest import Program, Run
from tests.serving import serve_model
from video_tool import VideoQA
from video_tool.answer import VideoAnswer
from video_tool.builtin import DEMO_VIDEO
from video_tool.cli import ask as ask_module
from video_tool.cli import options
from video_tool.question import STRATEGIES, GenerationOptions
from video_tool.settings import Settings

WHAT = "What happens in the video?"


def test_the_answer_alone_is_on_stdout_and_its_receipt_on_stderr(run: Run) -> None:
    done = run("ask", WHAT, DEMO_VIDEO, "--model", "builtin", "--num-frames", "6")

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.strip()
    labels = [line.split()[0] for line in done.stderr.splitlines() if not line.startswith(" ")]
    assert labels == ["video", "model", "tokens", "seconds"]
    assert "6 of " in done.stderr
    assert "cpu · float32" in done.stderr or "cuda" in done.stderr or "mps" in done.stderr


def test_json_is_the_whole_answer_and_nothing_else(program: Program, run: Run, video: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    assert run("frames", video, "-o", picture, "--num-frames", "1").returncode == 0
    done = program(  # into which Transformers and torch are imported with all that they print then
        *("ask", WHAT, video, DEMO_VIDEO, "--image", picture, "-i", picture, "--model", "builtin", "--device", "cpu"),
        *("--num-frames", "4", "--start", "0.2", "--max-new-tokens", "1", "--json"),
    )

    answer = VideoAnswer.model_validate_json(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [info.name for info in answer.videos] == [video.name, DEMO_VIDEO.name]
    assert [frame.index for frame in answer.frames if frame.video == 0] == [2, 4, 6, 8]
    assert (answer.images, answer.usage.new_tokens, answer.finish_reason) == (2, 1, "length")
    assert (answer.model.id, answer.model.device, answer.model.dtype) == ("builtin", "cpu", "float32")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ask", WHAT], 2, "no video"),
        (["ask", WHAT, "{video}", "--num-frames", "0"], 2, "num_frames"),
        (["ask", WHAT, "{video}", "--num-frames", "3", "--fps", "1"], 2, "fps"),
        (["ask", WHAT, "{video}", "--start", "1", "--end", "0.5"], 2, "end"),
        (["ask", WHAT, "{video}", "--start", "100"], 2, "ten.mp4"),
        (["ask", WHAT, "{video}", "--max-new-tokens", "0"], 2, "max_new_tokens"),
        (["ask", WHAT, "{video}", "--temperature", "-1"], 2, "temperature"),
        (["ask", WHAT, "-", "-"], 2, "twice"),
        (["ask", WHAT, "{folder}"], 3, "directory"),
        (["ask", WHAT, "https://127.0.0.1:1/video.mp4"], 3, "127.0.0.1"),
        (["ask", WHAT, "ftp://example.org/video.mp4"], 3, "ftp"),
        (["ask", WHAT, "{text}"], 4, "text.mp4"),
    ],
)
def test_bad_input_is_one_line_and_the_code_of_its_family(
    run: Run, video: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 100)
    done = run(*(argument.format(video=video, folder=tmp_path, text=text) for argument in arguments))

    assert done.returncode == code
    assert words in _only_line(done)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ask", "  ", "{video}"], 2, "empty"),
        (["ask", WHAT, "{folder}/missing.mp4"], 3, "missing.mp4"),
        (["ask", WHAT, "-"], 4, "empty"),
        (["ask", "<video> or <video>?", "{video}"], 5, "<video>"),
    ],
)
def test_a_process_leaves_with_the_code_of_the_family(
    program: Program, video: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = program(*(argument.format(video=video, folder=tmp_path) for argument in arguments))

    assert done.returncode == code
    assert words in _only_line(done)


def test_a_variable_that_makes_no_sense_is_named(run: Run, video: Path) -> None:
    done = run("ask", WHAT, video, env={"VIDEO_TOOL_NUM_FRAMES": "many"})

    assert done.returncode == 2
    assert "VIDEO_TOOL_NUM_FRAMES=many" in _only_line(done)


def test_the_model_is_the_one_of_the_settings(program: Program, video: Path) -> None:
    done = program("ask", WHAT, video, env={"VIDEO_TOOL_MODEL": "./nowhere"})

    assert done.returncode == 6
    assert "./nowhere" in _only_line(done)
    assert "--model builtin" in done.stderr


def test_defaults_are_those_of_the_engine() -> None:
    parameters = inspect.signature(ask_module.ask).parameters
    defaults = GenerationOptions()

    assert parameters["max_new_tokens"].default == defaults.max_new_tokens
    assert parameters["temperature"].default == defaults.temperature
    assert Settings.model_fields["num_frames"].default == options.DEFAULT_NUM_FRAMES
    assert all(strategy in str(get_args(options.Strategy)[1].help) for strategy in STRATEGIES)


def _only_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stdout == ""
    assert done.stderr.startswith("video-tool: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_likeliest_of_given_answers(run: Run) -> None:
    given = ["--choice", "It is green.", "--choice", "It is red."]
    done = run("ask", "What colour is it?", DEMO_VIDEO, "--model", "builtin", *given)

    assert done.stdout == "It is red.\n"
    assert re.search(r"choice +0\.\d\d% +It is green\.", done.stderr)


def test_how_the_answer_is_generated(run: Run, video: Path) -> None:
    options = ["--stop", "shape", "--stop", "only", "--temperature", "2", "--top-k", "1", "--seed", "3"]
    done = run("ask", "Who won?", video, "--model", "builtin", "--json", "--max-seconds", "60", *options)

    answer = VideoAnswer.model_validate_json(done.stdout)
    assert (answer.text, answer.finish_reason) == ("I can", "stop")


def test_a_model_on_a_server(run: Run) -> None:
    with serve_model(VideoQA("builtin")) as server:
        asked = ("ask", WHAT, DEMO_VIDEO, "--num-frames", "6", "--model", "openai:small")
        done = run(*asked, "--base-url", server.base_url)
        assert (done.returncode, done.stdout) == (0, "A red circle is first moving right, then growing.\n")
        assert re.search(rf"model +openai:small · {server.base_url} · chat *\n", done.stderr)
        assert re.search(r"tokens +41 prompt → 12 new", done.stderr)
        done = run(*asked, "--max-new-tokens", "2", env={"VIDEO_TOOL_BASE_URL": server.base_url})
        assert done.stdout == "A red\n"
        assert "cut off after 2 new tokens" in done.stderr
        done = run(*asked, "--device", "cpu", "--base-url", server.base_url)
        assert done.returncode == 6
        assert "runs on a server" in _only_line(done)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object", "properties": {"cats": {"type": "integer", "maximum": 9, "minimum": 0}}}')
    return path


def test_an_answer_of_a_schema_is_json_on_stdout(run: Run, video: Path, checkpoint: Path, schema: Path) -> None:
    asked = ("ask", WHAT, video, "--model", checkpoint, "--device", "cpu", "--num-frames", "2", "--schema", schema)
    done = run(*asked, "--temperature", "5", "--seed", "1", "--max-new-tokens", "200")
    told = run(*asked, "--json", "--logprobs", "--top-logprobs", "2", "--max-new-tokens", "3")

    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    answer = VideoAnswer.model_validate_json(told.stdout)
    assert (answer.parsed, answer.finish_reason) == (None, "length")
    assert [len(place.top_logprobs) for place in answer.logprobs] == [2, 2, 2]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (None, "can't be read"),
        ("{", "is not JSON"),
        ("[]", "holds no object"),
        ('{"type": "colour"}', "colour"),
        ('{"uniqueItems": true}', "uniqueItems"),
    ],
)
def test_a_schema_that_is_none_is_refused(run: Run, video: Path, schema: Path, written: str | None, words: str) -> None:
    schema.unlink() if written is None else schema.write_text(written)
    done = run("ask", WHAT, video, "--model", "builtin", "--schema", schema)

    assert done.returncode == 2
    assert words in _only_line(done)


def test_how_likely_tokens_were_needs_json(run: Run, video: Path) -> None:
    done = run("ask", WHAT, video, "--model", "builtin", "--logprobs")

    assert done.returncode == 2
    assert "--json" in _only_line(done)


def test_a_model_that_can_not_spell_json_says_so(run: Run, video: Path, schema: Path) -> None:
    done = run("ask", WHAT, video, "--model", "builtin", "--schema", schema)

    assert done.returncode == 6
    assert "can't spell JSON" in _only_line(done)
