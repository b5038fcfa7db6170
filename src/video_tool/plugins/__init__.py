"""What other packages may add, and finding those that do.

A package marks functions with `hookimpl`, and names the module that holds them in the entry-point group of their kind,
`video_tool.models`, `.families`, `.sources`, `.readers` or `.samplers`:

    [project.entry-points."video_tool.samplers"]
    mine = "my_package.sampling"

The hook of a kind is called like its group. It takes nothing and returns a dict: what is added, by name. A name is
lower-case ASCII of two characters or more, letters first; one that is taken, by us or by a distribution whose name
comes earlier in the alphabet, is left out. So is whatever can't be imported or called or is of a wrong type: each is
named by one `PluginWarning`, and all else works. A group is looked at when something of its kind is first needed, and
VIDEO_TOOL_PLUGINS says whose entry points count.
"""

from video_tool.plugins.finding import Extensions, Found, Plugin, warn_once
from video_tool.plugins.hooks import Hooks, Kind, LoadModel, OpenSource, Sampler, hookimpl

__all__ = [
    "Extensions",
    "Found",
    "Hooks",
    "Kind",
    "LoadModel",
    "OpenSource",
    "Plugin",
    "Sampler",
    "hookimpl",
    "warn_once",
]
