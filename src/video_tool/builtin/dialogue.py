"""Conversations about clips: questions of the built-in model's kind, each with the right answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from video_tool.builtin import wording
from video_tool.builtin.answers import ORDINALS, REFUSAL, Shown, answer_all, answer_one, capital, labels
from video_tool.builtin.clips import COLOURS, MOTIONS, OPPOSITES, SHAPES
from video_tool.builtin.wording import say

_WEIGHTS: Final = [0.09, 0.09, 0.16, 0.04, 0.11, 0.19, 0.03, 0.05, 0.05, 0.09, 0.05, 0.05]
"""How often each kind of question about one video is asked, in the order of `wording.ABOUT_ONE`."""


@dataclass(frozen=True)
class Turn:
    """One question with the right answer; `kind` is the type that the accuracy report counts by.

    `marked` says that the question itself places the media with `<video>` and `<image>`.
    """

    kind: str
    question: str
    answer: str
    marked: bool = False


def random_conversation(rng: np.random.Generator, shown: Sequence[Shown], turns: int = 1) -> list[Turn]:
    """`turns` questions about what is shown (1 to 3 videos or images, at least one), each with its answer."""
    asker = _Asker(rng, shown)
    conversation = [asker.opening()]
    while len(conversation) < turns:
        conversation.append(asker.follow_up(conversation[-1]))
    return conversation


class _Asker:
    """Makes the questions of one conversation."""

    def __init__(self, rng: np.random.Generator, shown: Sequence[Shown]):
        self.rng = rng
        self.shown = list(shown)
        self.labels = labels(shown)
        self.focus: int | None = 0 if len(shown) == 1 else None
        self.videos_only = all(s.medium == "video" for s in shown)

    def opening(self) -> Turn:
        if self.rng.random() < 0.12:
            return self._strange()
        if len(self.shown) > 1:
            roll = self.rng.random()
            if roll < 0.15:
                return self._marked_all()
            turn = (
                self._about_all() if roll < 0.55 else self._about(int(self.rng.integers(len(self.shown))), named=True)
            )
        else:
            turn = self._about(0, named=False)
        return self._with_markers(turn) if self.rng.random() < 0.2 else turn

    def follow_up(self, last: Turn) -> Turn:
        roll = self.rng.random()
        if roll < 0.07:
            return self._strange()
        if len(self.shown) > 1:
            if roll < 0.3:
                return self._about_all()
            if roll < 0.55 and last.kind in ("colour", "shape", "motion", "caption") and self.focus is not None:
                others = [i for i in range(len(self.shown)) if i != self.focus]
                self.focus = int(self.rng.choice(others))
                label = self.labels[self.focus]
                if label.medium == self.shown[self.focus].medium and self.shown[self.focus].medium == "video":
                    question = say(
                        self.rng,
                        self._pick(wording.FOLLOW_REFERENCE),
                        ordinal=ORDINALS[label.number],
                        medium="video",
                        digit=str(label.number + 1),
                    )
                    return Turn(last.kind, question, answer_one(last.kind, self.shown[self.focus]))
            if roll < 0.8 or self.focus is None:
                return self._about(int(self.rng.integers(len(self.shown))), named=True)
        focus = self.focus or 0
        if roll > 0.6:
            kind = str(self.rng.choice(list(wording.FOLLOW_UP)))
            return Turn(kind, say(self.rng, self._pick(wording.FOLLOW_UP[kind])), answer_one(kind, self.shown[focus]))
        return self._about(focus, named=False)

    def _where(self, index: int, named: bool) -> tuple[str, str]:
        """How to say "in this one" and "this one"; empty where there is nothing to tell apart."""
        label, medium = self.labels[index], self.shown[index].medium
        word = say(self.rng, "(video|video|clip|movie)" if medium == "video" else "(image|image|picture)")
        if named and not label.alone:
            name = say(self.rng, f"(the {ORDINALS[label.number]} {word}|{word} {label.number + 1})")
        else:
            name = say(self.rng, f"(the|this|the) {word}")
        return f"in {name}", name

    def _about(self, index: int, named: bool) -> Turn:
        self.focus = index
        shown = self.shown[index]
        kind = str(self.rng.choice(list(wording.ABOUT_ONE), p=_WEIGHTS))
        where, what = self._where(index, named)
        pattern = self._pick(wording.ABOUT_ONE[kind])
        if named and "[ {where}]" in pattern:
            pattern = pattern.replace("[ {where}]", " {where}")
        elif named and "{where}" not in pattern and "{what}" not in pattern:
            pattern = "{Where}, " + pattern[0].lower() + pattern[1:] if pattern[0] != "(" else pattern + " ({where})"
        elif kind == "caption" and not named and self.rng.random() < 0.25:
            where = ""
        colour, shape = shown.colour, shown.shape or str(self.rng.choice(SHAPES))
        motion = self._asked(MOTIONS, shown.motions)
        other = self._asked([m for m in MOTIONS if m != motion], ())
        if kind in ("first", "then") and where and self.rng.random() < 0.3:
            where = f"of {what}"
        thing = say(self.rng, f"(it|the (shape|object|figure|thing|shape|{shape}))")
        if named and thing == "it":
            thing = "the shape"
        question = say(
            self.rng,
            pattern,
            thing=thing,
            whole=say(
                self.rng, f"(it|the (shape|object|thing|{shape}|{colour} {shape}|{colour} shape|{colour} object))"
            ),
            where=where,
            Where=capital(where),
            what=what,
            colour=colour,
            participle=wording.PARTICIPLES[motion],
            verb=wording.VERBS[motion],
            other_participle=wording.PARTICIPLES[other],
            other_verb=wording.VERBS[other],
            asked_colour=(asked_colour := self._asked(COLOURS, (colour,))),
            asked_shape=(asked_shape := self._asked(SHAPES, (shape,))),
        )
        if named and where and self.rng.random() < 0.15 and question.endswith(f" {where}?"):
            question = f"{capital(where)}, {question[0].lower()}{question[1:].removesuffix(f' {where}?')}?"
        asked = {"is_motion": motion, "is_colour": asked_colour, "is_shape": asked_shape}.get(kind, "")
        return Turn(kind, self._politely(question), answer_one(kind, shown, asked))

    def _about_all(self) -> Turn:
        self.focus = None
        kind = str(self.rng.choice(list(wording.ABOUT_ALL), p=[0.3, 0.4, 0.15, 0.15]))
        if not self.videos_only and kind == "same_motion":
            kind = "each"
        count = ("two", "three")[len(self.shown) - 2]
        kinds = {s.medium for s in self.shown}
        if kinds == {"video"}:
            medium, media = "(video|video|clip)", "(videos|videos|clips)"
        elif kinds == {"image"}:
            medium, media = "(image|picture)", "(images|images|pictures)"
        else:
            medium, media = "one", "media"
        number = "both" if count == "two" else "all"
        group = f"(the|these|the {count}|these {count}|{number}|{number} [of ]the) {media}"
        if kinds == {"video", "image"}:
            group = f"({number}|the video and the image|all media)" if count == "two" else f"({number}|all media)"
        question = say(
            self.rng,
            self._pick(wording.ABOUT_ALL[kind]),
            medium=medium,
            media=media,
            group=group,
            count=count,
            number=number,
        )
        return Turn(kind, self._politely(question), answer_all(kind, self.shown))

    def _marked_all(self) -> Turn:
        """A question that names every video or image by its marker."""
        self.focus = None
        same = self.videos_only and self.rng.random() < 0.5
        if len(self.shown) == 2:
            patterns = wording.MARKED_SAME if same else wording.MARKED_EACH
        else:
            patterns = wording.MARKED_SAME_OF_THREE if same else wording.MARKED_EACH_OF_THREE
        markers = {f"m{number}": f"<{s.medium}>" for number, s in enumerate(self.shown, 1)}
        kind = "same_motion" if same else "each"
        return Turn(kind, say(self.rng, self._pick(patterns), **markers), answer_all(kind, self.shown), marked=True)

    def _with_markers(self, turn: Turn) -> Turn:
        markers = [f"<{s.medium}>" for s in self.shown]
        if len(self.shown) == 1:
            for phrase in ("the video", "this video", "the image", "this image", "the clip", "the picture"):
                if turn.question.count(phrase) == 1 and self.rng.random() < 0.7:
                    return replace(turn, question=turn.question.replace(phrase, markers[0]), marked=True)
        joined = (
            markers[0]
            if len(markers) == 1
            else ", ".join(markers[:-1]) + self._pick((", ", " and ", ", and ")) + markers[-1]
        )
        if self.rng.random() < 0.25:
            return replace(turn, question=f"{turn.question} {joined}", marked=True)
        return replace(
            turn, question=f"{say(self.rng, self._pick(wording.MARKED_LEAD), all=joined)} {turn.question}", marked=True
        )

    def _strange(self) -> Turn:
        question = say(
            self.rng,
            self._pick(wording.STRANGE),
            unk=wording.STRANGE_WORD,
            colour=str(self.rng.choice(COLOURS)),
            shape=str(self.rng.choice(SHAPES)),
        )
        return Turn("strange", question, REFUSAL)

    def _asked(self, options: Sequence[str], right: tuple[str, ...]) -> str:
        """What a yes/no question asks for: right as often as wrong."""
        if right and self.rng.random() < 0.5:
            return str(self.rng.choice(right))
        opposites = [o for o in options if o not in right and OPPOSITES.get(o) in right]
        if opposites and self.rng.random() < 0.5:  # what is most easily mistaken is asked most
            return str(self.rng.choice(opposites))
        return str(self.rng.choice([o for o in options if o not in right]))

    def _politely(self, question: str) -> str:
        if self.rng.random() < 0.05:
            return self._pick(wording.POLITE) + question[0].lower() + question[1:]
        if self.rng.random() < 0.03:
            return f"{question[:-1]}, please{question[-1]}"
        return question

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]
