"""The tools for hosts that find their tools by entry points: the group `video_tool.tools`.

Each entry point is named like its tool and loads a `PluginTool`. No host has to know this package for it: what it gets
are a name, a JSON schema, and something to call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from video_tool.adapters.results import ToolResult
from video_tool.adapters.schemas import tool_schema
from video_tool.adapters.tools import TOOLS


@dataclass(frozen=True)
class PluginTool:
    """One tool, as a host loads it.

    Attributes:
        name: by which models call it.
        description: what models are told of it.
        schema: the JSON schema of its arguments.
    """

    name: str
    description: str
    schema: dict[str, Any]

    def call(self, arguments: Mapping[str, Any] | str) -> ToolResult:
        """Runs it, with this process's toolbox; arguments are an object or its JSON."""
        from video_tool.adapters.toolbox import shared_toolbox

        return shared_toolbox().call(self.name, arguments)

    async def acall(self, arguments: Mapping[str, Any] | str) -> ToolResult:
        """`call`, in a thread of its own; cancelling the task stops the work."""
        from video_tool.adapters.toolbox import shared_toolbox

        return await shared_toolbox().acall(self.name, arguments)


video_qa, video_probe, video_frames = (
    PluginTool(name, tool.description, tool_schema("json-schema", name)) for name, tool in TOOLS.items()
)
