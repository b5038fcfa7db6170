"""`video-tool schema`: the tools, described for language models."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from video_tool.cli.terminal import print_json


def schema(
    dialect: Annotated[
        # video_tool.adapters.Dialect, which takes too long to import for a page of help; a test holds the two together
        Literal["openai", "openai-responses", "anthropic", "gemini", "mcp", "json-schema"],
        typer.Option(help="Whose form it takes; openai is that of Chat Completions, json-schema the arguments alone."),
    ] = "json-schema",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Have the provider's model write only arguments that fit: openai, openai-responses, anthropic.",
        ),
    ] = False,
    tool: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="video_qa, video_probe or video_frames, alone.", show_default=False),
    ] = None,
) -> None:
    """Print the tools for language models as JSON: the list that a request has for its tools, or one of them."""
    from video_tool.adapters import tool_schema, tool_schemas

    described = tool_schemas(dialect, strict=strict) if tool is None else tool_schema(dialect, tool, strict=strict)
    print_json(json.dumps(described, indent=2, ensure_ascii=False))
