from __future__ import annotations

import json
from typing import get_type_hints

import pytest

from tests.adapters.golden.write import FOLDER, GOLDEN
from tests.cli.conftest import Program, Run
from tests.cli.test_app import HEAVY, PRINT_MODULES
from video_tool.adapters import TOOLS, Dialect, tool_schema
from video_tool.cli.schema import schema


@pytest.mark.parametrize("name", GOLDEN)
def test_all_tools_in_every_dialect(run: Run, name: str) -> None:
    dialect, strict = GOLDEN[name]
    done = run("schema", "--dialect", dialect, *(["--strict"] if strict else []))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (FOLDER / name).read_text(encoding="utf-8")


def test_one_tool(run: Run) -> None:
    assert json.loads(run("schema", "--tool", "video_probe").stdout) == tool_schema("json-schema", "video_probe")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--dialect", "gemini", "--strict"],
            "video-tool: gemini has no strict schemas. There are for openai, openai-responses, anthropic\n",
        ),
        (
            ["--tool", "video_qas"],
            "video-tool: there is no tool video_qas. There are video_qa, video_probe, video_frames\n",
        ),
    ],
)
def test_what_there_is_not(run: Run, arguments: list[str], message: str) -> None:
    done = run("schema", *arguments)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_it_names_what_there_is() -> None:
    assert get_type_hints(schema)["dialect"] == Dialect
    (option,) = get_type_hints(schema, include_extras=True)["tool"].__metadata__
    assert all(tool in option.help for tool in TOOLS)


def test_it_loads_no_model_and_no_decoder(program: Program) -> None:
    code = f"from video_tool.cli import main\ntry:\n    main(['schema'])\nexcept SystemExit:\n    pass{PRINT_MODULES}"
    modules = set(program(code=code).stdout.splitlines()[-1].split())

    assert "video_tool.adapters.schemas" in modules
    assert modules & (HEAVY - {"numpy"}) == set()
