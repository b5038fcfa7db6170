"""A family that someone else might have written, for checkpoints whose processor it knows by a mark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from video_tool.models.families import Family


class Marked(Family):
    """Takes two frames of a video at the most."""

    max_frames = 2

    @classmethod
    def fits(cls, processor: Any, config: Any) -> bool:
        return getattr(processor, "image_token", None) == "<|marked|>"


def install(folder: Path, **entries: str) -> None:
    """Makes a distribution whose entry points these are, for a process with this folder in its path."""
    info = folder / "other_families-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-families\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[video_tool.families]\n{lines}")
    (folder / "other_families.py").write_text(Path(__file__).read_text())
