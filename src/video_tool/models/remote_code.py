"""Code that comes with a checkpoint: it runs when the user names the checkpoint, and never else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from video_tool.errors import UntrustedCodeError
from video_tool.models.failures import first_line


def refuse_foreign_code(model: str | Path, folder: Path) -> None:
    """Refuses what would have code fetched from elsewhere, which nobody can trust by naming the model.

    Raises:
        UntrustedCodeError: the checkpoint names a kernel of the hub as its attention, or another repository's code.
    """
    for name, value in _entries(folder):
        kernel = name in ("attn_implementation", "_attn_implementation") and "/" in str(value)
        elsewhere = name == "auto_map" and "--" in json.dumps(value)
        if kernel or elsewhere:
            raise UntrustedCodeError(
                f"{model} names code of another repository as its {name}: {json.dumps(value)[:200]}",
                hint="Such code is never run: copy it into the checkpoint's folder, or use another checkpoint.",
            )


def needs_its_code(model: str | Path, folder: Path, error: Exception) -> UntrustedCodeError | None:
    """What to raise instead of an error of Transformers about code that may not run; None for its other errors."""
    if "trust_remote_code" not in str(error) or not any(name == "auto_map" for name, _ in _entries(folder)):
        return None
    return UntrustedCodeError(
        f"{model} comes with code of its own, which has not been run: {first_line(error)}",
        hint=f"Read its code, then pin the revision and give trust_remote_code='{model}'; or use another checkpoint.",
    )


def _entries(folder: Path) -> Iterator[tuple[str, Any]]:
    """All names and values in the checkpoint's configuration files, however deep."""
    for file in sorted(folder.glob("*config.json")):
        try:
            content = json.loads(file.read_bytes())
        except ValueError:
            continue  # Transformers tells about it
        waiting = [content]
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, dict):
                yield from entry.items()
                waiting += entry.values()
            elif isinstance(entry, list):
                waiting += entry
