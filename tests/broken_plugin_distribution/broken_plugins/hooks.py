"""Each class is a plugin, and wrong in a way of its own."""

from __future__ import annotations

from typing import Any

from video_tool.models.families import Family
from video_tool.plugins import hookimpl


def first(video: Any, frames: range, count: int) -> list[int]:
    return [frames[0]]


class Raises:
    @staticmethod
    @hookimpl
    def models() -> Any:
        raise ZeroDivisionError("of its own\nin two lines")

    @staticmethod
    @hookimpl
    def samplers() -> Any:
        raise ZeroDivisionError("of its own\nin two lines")


class Ours:
    @staticmethod
    @hookimpl
    def models() -> Any:
        return {"openai": first, "builtin": first}

    @staticmethod
    @hookimpl
    def sources() -> Any:
        return {"https": first, "file": first}


class Undecided(Family):
    @classmethod
    def fits(cls, processor: Any, config: Any) -> bool:
        raise ZeroDivisionError("which family?")


class Unsure:
    def __init__(self, file: Any, limits: Any) -> None:
        raise AssertionError("never made")

    @classmethod
    def reads(cls, file: Any) -> bool:
        raise ZeroDivisionError("which file?")

    metadata = keyframes = frames = __init__


class Misfits:
    @staticmethod
    @hookimpl
    def families() -> Any:
        return {"no-family": Unsure, "undecided": Undecided}

    @staticmethod
    @hookimpl
    def sources() -> Any:
        return {"number": 7}

    @staticmethod
    @hookimpl
    def readers() -> Any:
        return {"no-reader": Undecided, "unsure": Unsure}


class Lists:
    @staticmethod
    @hookimpl
    def samplers() -> Any:
        return [first]


class Misspelt:
    @staticmethod
    @hookimpl
    def sampler() -> Any:
        return {"first": first}


class Names:
    """The third is right."""

    @staticmethod
    @hookimpl
    def samplers() -> Any:
        return {"uniform": first, "ends": first, "right": first, "Two Words": first, "word": "first", 7: first}


class Nothing:
    @staticmethod
    @hookimpl
    def samplers() -> Any:
        return None


class Unmarked:
    @staticmethod
    def samplers() -> Any:
        return {"first": first}


class Wants:
    @staticmethod
    @hookimpl
    def samplers(settings: Any) -> Any:
        return {"first": first}
