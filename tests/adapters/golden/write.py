"""What `tool_schemas` gives for each dialect, in files; `make golden` writes them."""

from __future__ import annotations

import json
from pathlib import Path

from video_tool.adapters import Dialect, tool_schemas

FOLDER = Path(__file__).parent

GOLDEN: dict[str, tuple[Dialect, bool]] = {
    "openai.json": ("openai", False),
    "openai-strict.json": ("openai", True),
    "openai-responses.json": ("openai-responses", False),
    "openai-responses-strict.json": ("openai-responses", True),
    "anthropic.json": ("anthropic", False),
    "anthropic-strict.json": ("anthropic", True),
    "gemini.json": ("gemini", False),
    "mcp.json": ("mcp", False),
    "json-schema.json": ("json-schema", False),
}


def written(dialect: Dialect, strict: bool) -> str:
    """The text of a file, which is what `video-tool schema` prints."""
    return json.dumps(tool_schemas(dialect, strict=strict), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, (dialect, strict) in GOLDEN.items():
        (FOLDER / name).write_text(written(dialect, strict), encoding="utf-8")
