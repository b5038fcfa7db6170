"""The families there are: other people's first, then ours, the generic one last."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from video_tool.models.families.architectures import ARCHITECTURES
from video_tool.models.families.family import Family

GROUP = "video_tool.families"
"""The group of entry points in which a package names its subclasses of `Family`."""


@cache
def every_family() -> tuple[type[Family], ...]:
    """In the order in which they are asked whether a checkpoint is theirs.

    One that can't be loaded is left out, with a `RuntimeWarning` that names it.
    """
    found: list[type[Family]] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            family = entry.load()
            if not (isinstance(family, type) and issubclass(family, Family)):
                raise TypeError(f"{entry.value} is no subclass of Family")
        except Exception as error:  # noqa: BLE001 — it is other people's code, and the rest works without
            package = entry.dist.name if entry.dist else "a package"
            told = f"{type(error).__name__}: {error}"
            warnings.warn(f"{GROUP}: {entry.name} of {package} is left out: {told}", RuntimeWarning, stacklevel=2)
        else:
            found.append(family)
    return (*found, *ARCHITECTURES, Family)


def family_of(processor: Any, config: Any) -> Family:
    """How a checkpoint takes videos and images.

    Args:
        processor: the checkpoint's.
        config: the model's.

    Raises:
        CheckpointError: it takes neither.
    """
    kind = next(kind for kind in every_family() if kind.fits(processor, config))
    return kind(processor, config)
