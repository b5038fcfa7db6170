"""The families there are: other people's first, then ours, the generic one last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from video_tool.models.families.architectures import ARCHITECTURES
from video_tool.models.families.family import Family
from video_tool.plugins import Extensions, warn_once


def _misfit(offer: Any) -> str:
    return "" if isinstance(offer, type) and issubclass(offer, Family) else "it is no subclass of Family"


FAMILIES: Extensions[type[Family]] = Extensions("families", (), _misfit)
"""Those of other packages."""


def family_of(processor: Any, config: Any, plugins: Sequence[str] | None = None) -> Family:
    """How a checkpoint takes videos and images.

    Args:
        processor: the checkpoint's.
        config: the model's.
        plugins: the distributions whose families are asked, before ours; None for all.

    Raises:
        CheckpointError: it takes neither.
    """
    found = FAMILIES.use(plugins)
    for name, kind in found.offers.items():
        try:
            fits = kind.fits(processor, config)
        except Exception as error:  # noqa: BLE001 — it is other people's code, and the rest works without
            warn_once(found.plugin(name).broken(error).complaint)
            continue
        if fits:
            return kind(processor, config)
    kind = next(kind for kind in (*ARCHITECTURES, Family) if kind.fits(processor, config))
    return kind(processor, config)
