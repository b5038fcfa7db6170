"""What the built-in model should answer: facts in its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

REFUSAL: Final = "I can only tell about moving shapes."
NO_MOTION_IN_IMAGE: Final = "A single image does not show motion."
ORDINALS: Final = ("first", "second", "third")

MOTION_WORDS: Final = {
    "left": "moving left",
    "right": "moving right",
    "up": "moving up",
    "down": "moving down",
    "growing": "growing",
    "shrinking": "shrinking",
    "still": "staying still",
    "blinking": "blinking",
}
_WAYS: Final = frozenset(("left", "right", "up", "down"))


@dataclass(frozen=True)
class Shown:
    """What one video or image shows. `shape` is None where there is none; an image has no motions."""

    medium: Literal["video", "image"]
    shape: str | None
    colour: str
    motions: tuple[str, ...]


@dataclass(frozen=True)
class Label:
    """What a video or image is called by: the how-manieth of its medium, and whether it is the only one."""

    medium: Literal["video", "image"]
    number: int
    alone: bool = True


def labels(shown: Sequence[Shown]) -> list[Label]:
    """A label for each of the videos and images, which are counted apart."""
    counts: dict[str, int] = {}
    found: list[Label] = []
    for each in shown:
        number = counts.get(each.medium, 0)
        counts[each.medium] = number + 1
        found.append(Label(each.medium, number))
    return [replace(label, alone=counts[label.medium] == 1) for label in found]


def answer_one(kind: str, shown: Shown, asked: str = "") -> str:
    """The answer to a question of this kind about one video or image.

    Args:
        kind: the type of question, a key of `wording.ABOUT_ONE`.
        shown: what there is to see.
        asked: the motion, colour or shape that a yes/no question asks for.
    """
    if shown.shape is None:
        return REFUSAL
    if kind == "colour":
        return f"It is {shown.colour}."
    if kind == "shape":
        return f"It is {article(shown.shape)}."
    if kind == "object":
        return f"It is {article(f'{shown.colour} {shown.shape}')}."
    if kind == "caption":
        return sentence(shown)
    if kind == "is_colour":
        return _verdict(f"It is {shown.colour}", asked == shown.colour)
    if kind == "is_shape":
        return _verdict(f"It is {article(shown.shape)}", asked == shown.shape)
    if shown.medium == "image":
        return NO_MOTION_IN_IMAGE
    if kind == "is_motion":
        return _verdict(capital(doing(shown.motions)), asked in shown.motions)
    if kind == "is_moving":
        return _verdict(capital(doing(shown.motions)), bool(_WAYS & set(shown.motions)))
    if kind in ("sequence", "first", "then") and len(shown.motions) == 1:
        return f"It is {MOTION_WORDS[shown.motions[0]]} the whole time."
    if kind == "first":
        return f"First it is {MOTION_WORDS[shown.motions[0]]}."
    if kind == "then":
        return f"Then it is {MOTION_WORDS[shown.motions[1]]}."
    return capital(doing(shown.motions)) + "."


def answer_all(kind: str, shown: Sequence[Shown]) -> str:
    """The answer to a question of this kind (a key of `wording.ABOUT_ALL`) about all videos and images together."""
    names = [
        f"the {label.medium}" if label.alone else f"the {ORDINALS[label.number]} {label.medium}"
        for label in labels(shown)
    ]
    if kind == "each":
        if all(s.shape is None for s in shown):
            return REFUSAL
        return " ".join(f"In {name}, {_clause(each)}." for name, each in zip(names, shown, strict=True))
    if any(s.shape is None for s in shown):
        return REFUSAL
    if kind == "same_motion":
        facts = [f"In {name} {doing(each.motions)}." for name, each in zip(names, shown, strict=True)]
        alike = len({each.motions for each in shown}) == 1
    else:
        seen = [each.colour if kind == "same_colour" else article(each.shape or "") for each in shown]
        facts = [", ".join(f"the {ordinal} is {word}" for ordinal, word in zip(ORDINALS, seen, strict=False)) + "."]
        alike = len(set(seen)) == 1
    return f"{capital(' '.join(facts))} So {'yes' if alike else 'no'}."


def article(word: str) -> str:
    """The word with its indefinite article."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def sentence(shown: Shown) -> str:
    """What one video or image shows, as the model words it when asked to describe it."""
    return capital(_clause(shown)) + "."


def doing(motions: tuple[str, ...]) -> str:
    """Motions as a clause about `it`."""
    words = [MOTION_WORDS[m] for m in motions]
    return f"it is {words[0]}" if len(words) == 1 else f"first it is {words[0]}, then it is {words[1]}"


def _verdict(fact: str, right: bool) -> str:
    """The fact before the verdict: a model this small can say what it sees, and then compare what it has said."""
    return f"{fact}, so {'yes' if right else 'no'}."


def _clause(shown: Shown) -> str:
    if shown.shape is None:
        return "there is no shape"
    name = article(f"{shown.colour} {shown.shape}")
    if shown.medium == "image":
        return f"there is {name}"
    words = [MOTION_WORDS[m] for m in shown.motions]
    return f"{name} is {words[0]}" if len(words) == 1 else f"{name} is first {words[0]}, then {words[1]}"


def capital(text: str) -> str:
    """The text with a capital letter at its start."""
    return text[:1].upper() + text[1:]
