"""The tools for agents that speak the Model Context Protocol, on its official SDK.

server.py       `ToolServer`: tools, frames as resources, a prompt
progress.py     what the engine does right now, as the numbers that only grow which the protocol wants
kept_frames.py  frames that were shown, readable for a while
stdio.py        the protocol over standard input and output
http.py         the protocol over HTTP: who may ask, and what happens when they leave

Each of these imports the SDK; `require_sdk` says what to install when it is missing.
"""

from __future__ import annotations

from importlib.util import find_spec

from video_tool.errors import MissingDependencyError


def require_sdk() -> None:
    """Looks for the SDK, without importing it.

    Raises:
        MissingDependencyError: it is not installed, or an older one that lacks what is used.
    """
    if find_spec("mcp") is None or find_spec("mcp_types") is None:
        raise MissingDependencyError("mcp", install="video-tool[mcp]")
