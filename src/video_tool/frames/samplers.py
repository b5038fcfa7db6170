"""Strategies of other packages: which there are, and the frames that one chooses."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

from video_tool.errors import QuestionError, VideoToolError
from video_tool.plugins import Extensions, Sampler
from video_tool.question import STRATEGIES
from video_tool.settings import Settings

if TYPE_CHECKING:
    from video_tool.frames.sampling import Timeline

_SHOWN = 8
"""Indices in a message."""


def _misfit(offer: Any) -> str:
    return "" if callable(offer) else "it is no function"


SAMPLERS: Extensions[Sampler] = Extensions("samplers", STRATEGIES, _misfit)
"""Those of other packages."""


def check_strategy(name: str, settings: Settings) -> None:
    """Refuses a strategy that nobody has.

    Raises:
        QuestionError: so it is.
    """
    if name in STRATEGIES:
        return
    offers = SAMPLERS.use(settings.plugins).offers
    if name not in offers:
        raise QuestionError(f"there is no strategy {name!r}", hint=f"Give one of {', '.join((*STRATEGIES, *offers))}.")


def indices_by(name: str, video: Timeline, frames: range, count: int, settings: Settings) -> list[int]:
    """What a plugin's strategy chooses, rising.

    Args:
        name: the strategy's, checked by `check_strategy`.
        video: what is known of it.
        frames: the indices to choose from.
        count: the most of them.
        settings: say which plugins count.

    Raises:
        QuestionError: the strategy fails, or chooses what it may not.
    """
    found = SAMPLERS.use(settings.plugins)
    origin = found.plugin(name).origin
    try:
        chosen = sorted(index(each) for each in found.offers[name](video, frames, count))
    except VideoToolError:
        raise
    except Exception as error:
        raise _failed(f"{origin} can't choose frames of {video.name}: {type(error).__name__}: {error}") from error
    if not chosen:
        raise _failed(f"{origin} chose no frame of {video.name}")
    if len(chosen) > count or len(set(chosen)) < len(chosen) or any(each not in frames for each in chosen):
        shown = ", ".join(map(str, chosen[:_SHOWN])) + (", …" if len(chosen) > _SHOWN else "")
        raise _failed(
            f"{origin} was asked for up to {count} different frames of {video.name}, from {frames[0]} to {frames[-1]}, "
            f"and chose {shown}"
        )
    return chosen


def _failed(message: str) -> QuestionError:
    return QuestionError(message, hint="Ask with another strategy, and tell the plugin's authors.")
