"""A toolbox in saved pipelines."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from video_tool import Settings, Toolbox
from video_tool.adapters import shared_toolbox

__all__ = ["toolbox_from_dict", "toolbox_to_dict"]


def toolbox_to_dict(toolbox: Toolbox) -> dict[str, Any] | None:
    """A toolbox as JSON: its model, settings and options; None for the one of the process."""
    if toolbox is shared_toolbox():
        return None
    state = toolbox.__getstate__()
    model, settings = state["model"], state["settings"]
    return {
        "model": None if model is None else str(model),
        "settings": settings.model_dump(mode="json", exclude_unset=True),
        "options": state["options"],
    }


def toolbox_from_dict(described: dict[str, Any] | None) -> Toolbox:
    """The toolbox again: one for all that were saved alike, so that their model is loaded once."""
    return shared_toolbox() if described is None else _made(json.dumps(described, sort_keys=True))


@cache
def _made(described: str) -> Toolbox:
    state = json.loads(described)
    return Toolbox(state["model"], settings=Settings(**state["settings"]), **state["options"])
