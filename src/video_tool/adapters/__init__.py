"""The engine as tools that language models call, and each host's view of them.

tools.py          the tools: names, descriptions, arguments; all schemas and surfaces come from here
toolbox.py        `Toolbox`: one engine behind the tools; calls with a queue (gate.py), a deadline and cancellation
arguments.py      what a model wrote as arguments, checked
results.py        what a call gives: words for the model, everything for the host
replies.py        those words; explaining.py has the ones for errors

schemas.py        the tools as each provider wants them described
function_call.py  calls as providers' models make them: run, and answered in the provider's own form
mcp/              the Model Context Protocol
llm.py            Simon Willison's `llm`
plugin.py         the entry points of `video_tool.tools`, for any host

Names are imported when they are first used: hosts look at the tools long before they call one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from video_tool.adapters.function_call import Provider, acall, arun_tool_calls, call, run_tool_calls
    from video_tool.adapters.results import FramesResult, ProbeResult, ToolError, ToolImage, ToolResult
    from video_tool.adapters.schemas import Dialect, tool_schema, tool_schemas
    from video_tool.adapters.toolbox import Toolbox, shared_toolbox
    from video_tool.adapters.tools import TOOLS, Tool

_HOMES = {
    "TOOLS": "tools",
    "Dialect": "schemas",
    "FramesResult": "results",
    "ProbeResult": "results",
    "Provider": "function_call",
    "Tool": "tools",
    "ToolError": "results",
    "ToolImage": "results",
    "ToolResult": "results",
    "Toolbox": "toolbox",
    "acall": "function_call",
    "arun_tool_calls": "function_call",
    "call": "function_call",
    "run_tool_calls": "function_call",
    "shared_toolbox": "toolbox",
    "tool_schema": "schemas",
    "tool_schemas": "schemas",
}

__all__ = [
    "TOOLS",
    "Dialect",
    "FramesResult",
    "ProbeResult",
    "Provider",
    "Tool",
    "ToolError",
    "ToolImage",
    "ToolResult",
    "Toolbox",
    "acall",
    "arun_tool_calls",
    "call",
    "run_tool_calls",
    "shared_toolbox",
    "tool_schema",
    "tool_schemas",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"video_tool.adapters.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
