"""Finding what other packages add: their entry points, what the hooks return, and what is wrong with it."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any, Generic, Literal, TypeVar, cast

from pluggy import PluginManager

from video_tool.errors import PluginWarning
from video_tool.plugins.hooks import Hooks, Kind

T = TypeVar("T")

_LONGEST = 300
"""Characters of an error of a plugin's that are told."""

_NAME = re.compile(r"[a-z][a-z0-9+._-]+")


@dataclass(frozen=True)
class Plugin:
    """Something that a distribution adds, or fails to.

    Attributes:
        kind: what it is.
        name: by which it is asked for; that of the entry point where it got no further.
        distribution: the name of the package that brings it.
        version: the package's; empty where it does not say.
        status: `works`; `broken`; or `off`, where VIDEO_TOOL_PLUGINS leaves it out, or it adds nothing by itself.
        why: what is wrong with it, in one line; empty when it works.
    """

    kind: Kind
    name: str
    distribution: str
    version: str
    status: Literal["works", "broken", "off"] = "works"
    why: str = ""

    def broken(self, error: BaseException) -> Plugin:
        """The same, found not to work by what it raised."""
        words = " ".join(str(error).split())[:_LONGEST]
        why = f"{type(error).__name__}: {words}" if words else type(error).__name__
        return replace(self, status="broken", why=why)

    @property
    def origin(self) -> str:
        """What errors call it: `the plugin mine of my-package 1.0`."""
        return f"the plugin {self.name} of {self.distribution} {self.version}".rstrip()

    @property
    def complaint(self) -> str:
        """What a warning says of a broken one."""
        package = f"{self.distribution} {self.version}".rstrip()
        return f"video_tool.{self.kind}: {self.name} of {package} is left out: {self.why}"


@dataclass(frozen=True)
class Found(Generic[T]):
    """All of one kind.

    Attributes:
        offers: what works, by name, in the order of the distributions' names.
        plugins: all of them, with what is wrong with some.
    """

    offers: Mapping[str, T]
    plugins: tuple[Plugin, ...]

    def plugin(self, name: str) -> Plugin:
        """Which one it is that offers this name."""
        return next(plugin for plugin in self.plugins if plugin.name == name and plugin.status == "works")

    def complaints(self) -> list[str]:
        """What is wrong with the broken ones."""
        return [plugin.complaint for plugin in self.plugins if plugin.status == "broken"]


class Extensions(Generic[T]):
    """What other packages add of one kind, found at first use and kept for the life of the process.

    Args:
        kind: what is looked for.
        taken: names that are ours.
        misfit: says what is wrong with something that is offered; empty when it is of the right type.
    """

    def __init__(self, kind: Kind, taken: Collection[str], misfit: Callable[[Any], str]) -> None:
        self._kind: Kind = kind
        self._taken = frozenset(taken)
        self._misfit = misfit
        self._found: dict[frozenset[str] | None, Found[T]] = {}
        self._lock = threading.RLock()

    def find(self, allowed: Sequence[str] | None) -> Found[T]:
        """All of them, broken ones included; raises nothing, and warns of nothing.

        Args:
            allowed: the distributions that count, as `Settings.plugins` names them; None for all.
        """
        names = None if allowed is None else frozenset(map(_canonical, allowed))
        with self._lock:
            if names not in self._found:
                self._found[names] = self._look(names)
            return self._found[names]

    def use(self, allowed: Sequence[str] | None) -> Found[T]:
        """`find`, for who needs one: a `PluginWarning` names each that is broken, once."""
        found = self.find(allowed)
        for complaint in found.complaints():
            warn_once(complaint)
        return found

    def _look(self, allowed: frozenset[str] | None) -> Found[T]:
        offers: dict[str, T] = {}
        plugins: list[Plugin] = []
        for plugin, entry in _entries(self._kind):
            if allowed is not None and _canonical(plugin.distribution) not in allowed:
                plugins.append(replace(plugin, status="off", why="VIDEO_TOOL_PLUGINS does not name it"))
                continue
            if entry is None:
                plugins.append(plugin)
                continue
            try:
                given = _ask(self._kind, entry)
                if not given:
                    plugins.append(replace(plugin, status="off", why="it adds nothing"))
                for name, offer in given.items():
                    problem = self._problem(name, offer, offers)
                    status = "broken" if problem else "works"
                    plugins.append(replace(plugin, name=str(name), status=status, why=problem))
                    if not problem:
                        offers[name] = offer
            except (Exception, SystemExit) as error:  # noqa: BLE001 — other people's code; all else works without it
                plugins.append(plugin.broken(error))
        return Found(offers, tuple(plugins))

    def _problem(self, name: Any, offer: Any, offers: Collection[str]) -> str:
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            return "a name is lower-case, of two letters or more"
        if name in self._taken:
            return "the name is video-tool's own"
        if name in offers:
            return "the name is taken by another plugin"
        return self._misfit(offer)


@cache
def warn_once(complaint: str) -> None:
    """Warns with a `PluginWarning`, the first time that it is told this."""
    warnings.warn(complaint, PluginWarning, stacklevel=2)


def _entries(kind: Kind) -> Iterator[tuple[Plugin, EntryPoint | None]]:
    """The entry points of a kind by distribution and name; none where a distribution's can't be read."""
    group = f"video_tool.{kind}"
    found: dict[str, list[tuple[Plugin, EntryPoint | None]]] = {}
    for distribution in distributions():
        plugin = Plugin(kind, group, "a package", "")
        entries: list[tuple[Plugin, EntryPoint | None]] = []
        try:
            if group not in (distribution.read_text("entry_points.txt") or ""):
                continue  # as most: name and version are slow to read
            plugin = replace(plugin, distribution=distribution.name, version=distribution.version)
            named = sorted(distribution.entry_points.select(group=group), key=lambda entry: entry.name)
            entries += [(replace(plugin, name=entry.name), entry) for entry in named]
        except Exception as error:  # noqa: BLE001 — what a file may be damaged by is not for its format to say
            entries.append((plugin.broken(error), None))
        found.setdefault(_canonical(plugin.distribution), entries)  # the first on the path is the one that is imported
    for name in sorted(found):
        yield from found[name]


def _ask(kind: Kind, entry: EntryPoint) -> dict[Any, Any]:
    """What the hook of a kind returns; raises whatever the plugin does, and what pluggy says to its functions."""
    manager = PluginManager("video_tool")
    manager.add_hookspecs(Hooks)
    manager.register(entry.load(), entry.name)
    manager.check_pending()
    hook = getattr(manager.hook, kind)
    if not hook.get_hookimpls():
        raise TypeError(f"{entry.value} has no function {kind} that is marked with hookimpl")
    answers: list[Any] = hook()
    given = answers[0] if answers else None  # pluggy leaves out None
    if not isinstance(given, Mapping):
        raise TypeError(f"{kind} of {entry.value} returned {type(given).__name__}, and has to return a dict")
    return dict(cast("Mapping[Any, Any]", given))


def _canonical(name: str) -> str:
    """The name of a distribution as all ways to write it have it in common (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
