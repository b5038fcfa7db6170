"""What is asked of the built-in model, and what it should answer.

Questions are written in a small notation: `(a|b)` is one of them, `[a]` is perhaps, `{name}` is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from video_tool.builtin.clips import COLOURS, MOTIONS, SHAPES

REFUSAL: Final = "I can only tell about moving shapes."
NO_MOTION_IN_IMAGE: Final = "A single image does not show motion."
ORDINALS: Final = ("first", "second", "third")

_PARTICIPLES: Final = {
    "left": "(moving|going) (left|to the left|leftwards)",
    "right": "(moving|going) (right|to the right|rightwards)",
    "up": "(moving up|going up|moving upwards|going upwards|rising)",
    "down": "(moving down|going down|moving downwards|going downwards|falling|sinking)",
    "growing": "(growing|expanding|enlarging|(getting|becoming) (bigger|larger))",
    "shrinking": "(shrinking|contracting|(getting|becoming) smaller)",
    "still": "(staying still|standing still|still|not moving|motionless|staying in place|stationary)",
    "blinking": "(blinking|flashing|flickering|appearing and disappearing)",
}
_VERBS: Final = {
    "left": "(move|go) (left|to the left|leftwards)",
    "right": "(move|go) (right|to the right|rightwards)",
    "up": "(move up|go up|move upwards|rise)",
    "down": "(move down|go down|move downwards|fall|sink)",
    "growing": "(grow|expand|(get|become) (bigger|larger))",
    "shrinking": "(shrink|(get|become) smaller)",
    "still": "(stay still|stand still|stay in place|not move)",
    "blinking": "(blink|flash|flicker|appear and disappear)",
}
_MOTION_WORDS: Final = {"left": "moving left", "right": "moving right", "up": "moving up", "down": "moving down",
                        "growing": "growing", "shrinking": "shrinking", "still": "staying still",
                        "blinking": "blinking"}  # fmt: skip

_ONE: Final[dict[str, tuple[str, ...]]] = {
    "colour": (
        "(What|Which) (colour|color) is {thing}[ {where}]?",
        "(What|Which) (colour|color) does {thing} have[ {where}]?",
        "What is the (colour|color) of {thing}[ {where}]?",
        "What is its (colour|color)?",
        "(Tell me|Name) the (colour|color) of {thing}[ {where}].",
        "(What|Which) (colour|color) (do you see|is it)[ {where}]?",
    ),
    "shape": (
        "(What|Which) shape is (it|this|that|shown|there)[ {where}]?",
        "(What|Which) shape is {where}?",
        "What [kind of |sort of ]shape (do you see|is (shown|this|it|visible)|can be seen|appears|moves)[ {where}]?",
        "What is the shape[ {where}]?",
        "(What|Which) shape does (it|the (object|thing|figure)) have[ {where}]?",
        "Is (it|the (shape|object|figure)) a circle, a square or a triangle[ {where}]?",
        "What is the shape of {thing}[ {where}]?",
        "Name the shape[ {where}].",
        "(What|Which) shape is the {colour} (object|thing|figure|one)[ {where}]?",
    ),
    "motion": (
        "What is {thing} doing[ {where}]?",
        "How (does {thing} move|is {thing} moving)[ {where}]?",
        "What does {thing} do[ {where}]?",
        "(Which|What) (way|direction) (does {thing} (move|go)|is {thing} (moving|going))[ {where}]?",
        "In (which|what) direction (does {thing} (move|go)|is {thing} (moving|going))[ {where}]?",
        "Where (does {thing} (move|go)|is {thing} (moving|going))[ {where}]?",
        "(What|Which) (motion|movement) (does {thing} (make|show)|is shown|do you see|is there)[ {where}]?",
        "What is the (motion|movement)[ of {thing}][ {where}]?",
        "Describe (the|its) (motion|movement)[ of {thing}][ {where}].",
        "What happens to {thing}[ {where}]?",
        "Is {thing} {participle} or {other_participle}[ {where}]?",
        "Does {thing} {verb} or {other_verb}[ {where}]?",
        "How does {thing} (change|behave)[ {where}]?",
    ),
    "object": (
        "What is (it|this|that)[ {where}]?",
        "(What|Which) object (is (it|this|shown|visible)|do you see)[ {where}]?",
        "(What|Which) (colour and shape|color and shape|shape and colour|shape and color) (is it|does it have|do you see)[ {where}]?",
        "What are (its|the) (colour and shape|color and shape|shape and colour|shape and color)[ {where}]?",
    ),
    "caption": (
        "(Describe|Caption|Summarise|Summarize|Explain) {what}[ in one sentence| please| briefly].",
        "What (happens|moves|is happening|is moving|is shown|is visible|is going on|do you see|can you see|can be seen) {where}?",
        "What is {where}?",
        "What does {what} show?",
        "What is {what} (about|of)?",
        "(Tell me|Describe|Say) what (happens|you see|is happening|is shown|moves) {where}.",
        "What (can you tell me|can you say) about {what}?",
    ),
    "is_motion": (
        "Is {whole} {participle}[ {where}]?",
        "Does {whole} {verb}[ {where}]?",
        "(Do you see|Is there) (a|some) (shape|object) {participle}[ {where}]?",
        "Would you say that {whole} is {participle}[ {where}]?",
    ),
    "is_moving": (
        "Is {thing} moving[ {where}]?",
        "Does {thing} move[ {where}]?",
        "Does anything move[ {where}]?",
        "Is (anything|something) moving[ {where}]?",
    ),
    "is_colour": ("Is {thing} {asked_colour}[ {where}]?", "Does {thing} look {asked_colour}[ {where}]?"),
    "is_shape": ("Is (it|the (shape|object|figure)) a {asked_shape}[ {where}]?", "Do you see a {asked_shape}[ {where}]?"),
    "sequence": (
        "What happens first[ {where}], and (then|next|what then|what next|after that)?",
        "What happens first, and what happens (then|next|after that|second)[ {where}]?",
        "What happens first and (what [happens ](then|next|after that|second)|then what)[ {where}]?",
        "What does {thing} do first, and [what ](then|next|after that)[ {where}]?",
        "What does {thing} do first and [what ][does it do ](then|next|after that|second)[ {where}]?",
        "What is {thing} doing first, and (what then|then)[ {where}]?",
        "What happens in the first half[ of the video], and [what ]in the second[ half]?",
        "In (what|which) order do[es] (the motions|things|it) happen[ {where}]?",
        "What does {thing} do in each half[ {where}]?",
        "(Describe|Tell me|Name) the (order|sequence) of (motions|movements|events)[ {where}].",
    ),
    "first": (
        "What (happens|does {thing} do) (first|at first|at the (start|beginning)|in the first half|initially)[ {where}]?",
        "What is {thing} doing (first|at first|at the (start|beginning)|in the first half)[ {where}]?",
        "How does {thing} (start|begin)[ {where}]?",
    ),
    "then": (
        "What (happens|does {thing} do) (then|next|afterwards|after that|at the end|in the second half|last|later|in the end)[ {where}]?",
        "What is {thing} doing (then|afterwards|at the end|in the second half|later)[ {where}]?",
        "How does {thing} end[ {where}]?",
    ),
}  # fmt: skip

_ALL: Final[dict[str, tuple[str, ...]]] = {
    "each": (
        "What (happens|moves|is shown|is happening|is moving|is|do you see) in (each|every) {medium}?",
        "What (happens|moves|is shown|is happening|is moving|is|do you see) in {group}?",
        "(Describe|Caption|Summarise|Summarize) (each {medium}|{group}|each|{number}).",
        "What (do|does) {group} show?",
        "(What (is happening|happens|do you see|moves|is moving)|Describe what you see|Describe what happens)[?|.]",
        "Tell me what (happens|is|moves) in {group}.",
    ),
    "same_motion": (
        "Are the [{count} ](shapes|objects) in (these|the) [{count} ]{media} doing the same [thing]?",
        "Are (the|these|both) [{count} ](shapes|objects|{media}) doing the same [thing]?",
        "(Do|Are) {group} (show|showing) the same (motion|movement|thing)?",
        "Is the (motion|movement) [in {group} ]the same[ in {group}]?",
        "Do the [{count} ](shapes|objects) (move|behave) (in the same way|the same way|alike|the same|equally)?",
        "Do the (shapes|objects) in {group} do the same [thing]?",
        "(Compare|What is the difference between) (the motion in |the motions in |the movements of |){group}.",
        "(Does|Do) {group} have the same motion?",
        "(Are they|Are both|Are all) doing the same [thing]?",
        "Do (they|both shapes|all shapes|both|all) (move|behave) (in the same way|the same way|alike|the same)?",
        "Do (they|both shapes|all shapes|both|all) do the same [thing]?",
        "What is (different|the difference)[ between {group}]?",
    ),
    "same_colour": (
        "(Do|Does) the [{count} ](shapes|objects) have the same (colour|color)?",
        "Are the [{count} ](shapes|objects)[ in {group}] (the same (colour|color)|of the same (colour|color))?",
        "Is the (colour|color) [of the shapes ]the same[ in {group}]?",
        "Are they the same (colour|color)?",
    ),
    "same_shape": (
        "Are the [{count} ](shapes|objects)[ in {group}] the same shape?",
        "Is the shape the same[ in {group}]?",
        "Do {group} show the same shape?",
        "Do the [{count} ]objects have the same shape?",
    ),
}

_MARKED_EACH: Final = (
    "What (moves|happens|is|is happening|is moving|do you see) in {m1}[,] and [what ][is ]in {m2}?",
    "What (moves|happens|is|do you see) in {m1}, [and ]what in {m2}?",
    "(Describe|Caption) {m1} and {m2}.",
    "Here is {m1} and here is {m2}. (What happens in each|Describe each|Describe both)?",
    "What does {m1} show, and what does {m2} show?",
)
_MARKED_EACH_OF_THREE: Final = (
    "What (moves|happens|is|is happening|is moving|do you see) in {m1}, [what ]in {m2}[,] and [what ]in {m3}?",
    "(Describe|Caption) {m1}, {m2} and {m3}.",
    "Here is {m1}, here is {m2} and here is {m3}. (What happens in each|Describe each|Describe all)?",
)
_MARKED_SAME_OF_THREE: Final = (
    "(Do|Does) {m1}, {m2} and {m3} show the same (motion|movement|thing)?",
    "Are the shapes in {m1}, {m2} and {m3} doing the same [thing]?",
    "Compare [the motion in ]{m1}, {m2} and {m3}.",
)
_MARKED_SAME: Final = (
    "(Do|Does) {m1} and {m2} show the same (motion|movement|thing)?",
    "Is the (motion|movement) in {m1} the same as in {m2}?",
    "Is the shape in {m1} doing the same [thing ]as [the shape |the one ]in {m2}?",
    "Compare [the motion in ]{m1} (with|and|to) {m2}.",
    "Are the shapes in {m1} and {m2} doing the same [thing]?",
)
_MARKED_LEAD: Final = ("Look at {all}.", "Here (is|are) {all}.", "{all}", "Watch {all}.", "Given {all}:", "Take {all}.")

_FOLLOW_UP: Final[dict[str, tuple[str, ...]]] = {
    "colour": ("And (its|the|what|which) (colour|color)?", "(What|And what|And which) (colour|color) is it?", "What about (its|the) (colour|color)?"),
    "shape": ("And (its|the|what|which) shape?", "(And what|What) shape is it?", "What about (its|the) shape?"),
    "motion": ("And (its|the|what) (motion|movement)?", "And (how does it move|what is it doing|what does it do)?", "What about (its|the) (motion|movement)?"),
}  # fmt: skip
_FOLLOW_REFERENCE: Final = ("And (in the {ordinal} {medium}|the {ordinal} [one])?", "What about the {ordinal} ({medium}|one)?", "And in {medium} {digit}?")

_STRANGE: Final = (
    "What is the {unk} doing?", "Is the {unk} {unk}?", "How many {unk} are there?", "How many {unk} are in the video?",
    "Who is {unk}?", "Who is the {unk} in the video?", "What time is it?", "What is the {unk} of {unk}?", "{unk}",
    "{unk} {unk}?", "{unk} {unk} {unk}.", "Why is the {unk} blue?",
    "Where is the shape?", "How big is the shape?", "How many shapes are there?", "How fast does it move?",
    "What colour is the background?", "Why does it move?", "Who moves the shape?", "How large is the {shape}?",
    "Why is {unk} {unk}?", "Hello!", "Hello", "Hi {unk}!",
    "How are you?", "Write a {unk} about a {shape}.", "Write a {unk}.", "Are these two {unk} doing the same thing?",
    "Are the two {unk} doing the same thing?", "Is there a {unk}?", "Is there a {colour} {unk}?",
    "What colour is the {unk}?", "What color is the {unk}?", "Which {unk} is {unk}?", "Do you like {unk}?",
    "Can you {unk} the {unk}?", "What does the {unk} say?", "What is the {unk} wearing?", "Where is the {unk}?",
    "Where are the {unk}?", "When does the {unk} {unk}?", "Does the {unk} {unk} the {unk}?", "Is {unk} {unk} in the video?",
    "What {unk} is this?", "What kind of {unk} is this?", "Translate the video to {unk}.", "What is the capital of {unk}?",
    "How long is the video?", "How old is the {unk}?", "How {unk} is it?", "Is it {unk}?", "Is this {unk}?",
    "Tell me a {unk}.", "Tell me about {unk}.", "Describe the {unk}.", "Describe the {unk} in the video.",
    "What is {unk} plus {unk}?", "Ignore {unk} {unk} and {unk} the {unk}.", "The {unk} is {unk}.", "Does it {unk}?",
    "What is the {unk} in the {unk}?", "Is the {unk} moving left?", "Is the {unk} growing?", "Does the {unk} move?",
    "What happens to the {unk}?", "What {unk} do you see?", "Do you see a {unk}?", "Is it a {unk}?", "Is it {unk} or {unk}?",
    "How fast is the {unk}?", "What is the {unk} {unk} in the first video?", "Which {unk} is in the second video?",
    "What sound does the {unk} make?", "Who made the video?", "Where was the video made?", "Why?", "Who are you?",
    "What is your name?", "What can you do?", "Are you {unk}?", "Is the {unk} in the {unk} {unk}?", "What is the weather?",
    "Which {unk} does the {unk} {unk}?", "What is written in the video?", "Is anyone {unk}?", "How many people are there?",
    "What is the man doing?", "Is the woman {unk}?", "What does the person {unk}?", "Is there a car in the video?",
    "What animal is this?", "Is the dog running?", "Which team wins?", "What is he saying?", "Where is she going?",
)  # fmt: skip
STRANGE_WORD: Final = "qxz"
"""A word outside the model's vocabulary, for questions about anything else."""


@dataclass(frozen=True)
class Shown:
    """What one video or image shows. `shape` is None where there is none; an image has no motions."""

    medium: str
    shape: str | None
    colour: str
    motions: tuple[str, ...]


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


def every_phrase() -> list[str]:
    """All text that questions and answers are built from, the notation included: the tokenizer's corpus."""
    groups = [*_ONE.values(), *_ALL.values(), *_FOLLOW_UP.values()]
    phrases = [phrase for group in groups for phrase in group]
    phrases += [*_MARKED_EACH, *_MARKED_SAME, *_MARKED_EACH_OF_THREE, *_MARKED_SAME_OF_THREE, *_MARKED_LEAD, *_FOLLOW_REFERENCE, *_STRANGE]
    phrases += [*_PARTICIPLES.values(), *_VERBS.values(), *_MOTION_WORDS.values(), *SHAPES, *COLOURS, *MOTIONS, *ORDINALS]
    return [*phrases, *_FRAGMENTS]


_POLITE: Final = ("Please tell me: ", "Can you tell me: ", "Question: ", "Hey, ", "Please: ")
_FRAGMENTS: Final = (
    REFUSAL, NO_MOTION_IN_IMAGE, *_POLITE,
    "It is red. It is a circle. It is an image. First it is moving left, then it is growing. Then it is growing.",
    "It is moving left the whole time. Yes, it is. No, it is. Yes. In both videos it is. No. In the first video it is.",
    "In all videos it is. Yes. Both are red. All are red. No. The first is red, the second is blue, the third is a circle.",
    "Both are circles. All are squares. triangles. there is no shape. In the first image, there is a red circle.",
    "A red circle is first moving left, then growing. There is a red circle.",
    "the this that these those it its image images video videos clip clips movie movies picture pictures film both all "
    "two three the two videos the three videos these two clips these three one 1 2 3 media user assistant system",
    "exactly now really just briefly currently mainly actually only shortly simply here below above following same other "
    "what's it's that's isn't doesn't don't , . ? ! : ; ' - \" ( ) [ ]",
)  # fmt: skip


def article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def sentence(shown: Shown) -> str:
    """What one video or image shows, as the model words it when asked to describe it."""
    return _capital(_clause(shown)) + "."


def doing(motions: tuple[str, ...]) -> str:
    """Motions as a clause about `it`."""
    words = [_MOTION_WORDS[m] for m in motions]
    return f"it is {words[0]}" if len(words) == 1 else f"first it is {words[0]}, then it is {words[1]}"


def _clause(shown: Shown) -> str:
    if shown.shape is None:
        return "there is no shape"
    name = article(f"{shown.colour} {shown.shape}")
    if shown.medium == "image":
        return f"there is {name}"
    words = [_MOTION_WORDS[m] for m in shown.motions]
    return f"{name} is {words[0]}" if len(words) == 1 else f"{name} is first {words[0]}, then {words[1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


class _Asker:
    """Makes the questions of one conversation."""

    def __init__(self, rng: np.random.Generator, shown: Sequence[Shown]):
        self.rng = rng
        self.shown = list(shown)
        self.labels = self._label()
        self.focus: int | None = 0 if len(shown) == 1 else None
        self.videos_only = all(s.medium == "video" for s in shown)

    def opening(self) -> Turn:
        if self.rng.random() < 0.12:
            return self._strange()
        if len(self.shown) > 1:
            roll = self.rng.random()
            if roll < 0.15:
                return self._marked_all()
            turn = self._about_all() if roll < 0.55 else self._about(int(self.rng.integers(len(self.shown))), named=True)
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
                    question = self._say(self._pick(_FOLLOW_REFERENCE), ordinal=ORDINALS[label.number], medium="video", digit=str(label.number + 1))
                    return Turn(last.kind, question, self._answer(last.kind, self.focus))
            if roll < 0.8 or self.focus is None:
                return self._about(int(self.rng.integers(len(self.shown))), named=True)
        focus = self.focus or 0
        if roll > 0.6:
            kind = str(self.rng.choice(list(_FOLLOW_UP)))
            return Turn(kind, self._say(self._pick(_FOLLOW_UP[kind])), self._answer(kind, focus))
        return self._about(focus, named=False)

    def _label(self) -> list[_Label]:
        counts: dict[str, int] = {}
        labels = []
        for shown in self.shown:
            number = counts.get(shown.medium, 0)
            counts[shown.medium] = number + 1
            labels.append(_Label(shown.medium, number))
        return [replace(label, alone=counts[label.medium] == 1) for label in labels]

    def _where(self, index: int, named: bool) -> tuple[str, str]:
        """How to say "in this one" and "this one"; empty where there is nothing to tell apart."""
        label, medium = self.labels[index], self.shown[index].medium
        word = self._say("(video|video|clip|movie)" if medium == "video" else "(image|image|picture)")
        if named and not label.alone:
            name = self._say(f"(the {ORDINALS[label.number]} {word}|{word} {label.number + 1})")
        else:
            name = self._say(f"(the|this|the) {word}")
        return f"in {name}", name

    def _about(self, index: int, named: bool) -> Turn:
        self.focus = index
        shown = self.shown[index]
        kind = str(self.rng.choice(list(_ONE), p=_WEIGHTS))
        where, what = self._where(index, named)
        pattern = self._pick(_ONE[kind])
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
        thing = self._say(f"(it|the (shape|object|figure|thing|shape|{shape}))")
        if named and thing == "it":
            thing = "the shape"
        question = self._say(
            pattern,
            thing=thing,
            whole=self._say(f"(it|the (shape|object|thing|{shape}|{colour} {shape}|{colour} shape|{colour} object))"),
            where=where,
            Where=_capital(where),
            what=what,
            colour=colour,
            participle=_PARTICIPLES[motion],
            verb=_VERBS[motion],
            other_participle=_PARTICIPLES[other],
            other_verb=_VERBS[other],
            asked_colour=(asked_colour := self._asked(COLOURS, (colour,))),
            asked_shape=(asked_shape := self._asked(SHAPES, (shape,))),
        )
        if named and where and self.rng.random() < 0.15 and question.endswith(f" {where}?"):
            question = f"{_capital(where)}, {question[0].lower()}{question[1:].removesuffix(f' {where}?')}?"
        asked = {"is_motion": motion, "is_colour": asked_colour, "is_shape": asked_shape}.get(kind, "")
        return Turn(kind, self._politely(question), self._answer(kind, index, asked))

    def _about_all(self) -> Turn:
        self.focus = None
        kind = str(self.rng.choice(list(_ALL), p=[0.35, 0.4, 0.15, 0.1]))
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
        question = self._say(self._pick(_ALL[kind]), medium=medium, media=media, group=group, count=count, number=number)
        return Turn(kind, self._politely(question), self._answer_all(kind))

    def _marked_all(self) -> Turn:
        """A question that names every video or image by its marker."""
        self.focus = None
        same = self.videos_only and self.rng.random() < 0.5
        if len(self.shown) == 2:
            patterns = _MARKED_SAME if same else _MARKED_EACH
        else:
            patterns = _MARKED_SAME_OF_THREE if same else _MARKED_EACH_OF_THREE
        markers = {f"m{number}": f"<{s.medium}>" for number, s in enumerate(self.shown, 1)}
        kind = "same_motion" if same else "each"
        return Turn(kind, self._say(self._pick(patterns), **markers), self._answer_all(kind), marked=True)

    def _with_markers(self, turn: Turn) -> Turn:
        markers = [f"<{s.medium}>" for s in self.shown]
        if len(self.shown) == 1:
            for phrase in ("the video", "this video", "the image", "this image", "the clip", "the picture"):
                if turn.question.count(phrase) == 1 and self.rng.random() < 0.7:
                    return replace(turn, question=turn.question.replace(phrase, markers[0]), marked=True)
        joined = markers[0] if len(markers) == 1 else ", ".join(markers[:-1]) + self._pick((", ", " and ", ", and ")) + markers[-1]
        if self.rng.random() < 0.25:
            return replace(turn, question=f"{turn.question} {joined}", marked=True)
        return replace(turn, question=f"{self._say(self._pick(_MARKED_LEAD), all=joined)} {turn.question}", marked=True)

    def _strange(self) -> Turn:
        question = self._say(
            self._pick(_STRANGE), unk=STRANGE_WORD, colour=str(self.rng.choice(COLOURS)), shape=str(self.rng.choice(SHAPES))
        )
        return Turn("strange", question, REFUSAL)

    def _answer(self, kind: str, index: int, asked: str = "") -> str:
        shown = self.shown[index]
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
            return f"{'Yes' if asked == shown.colour else 'No'}, it is {shown.colour}."
        if kind == "is_shape":
            return f"{'Yes' if asked == shown.shape else 'No'}, it is {article(shown.shape)}."
        if shown.medium == "image":
            return NO_MOTION_IN_IMAGE
        if kind == "is_motion":
            return f"{'Yes' if asked in shown.motions else 'No'}, {doing(shown.motions)}."
        if kind == "is_moving":
            return f"{'Yes' if _WAYS & set(shown.motions) else 'No'}, {doing(shown.motions)}."
        if kind in ("sequence", "first", "then") and len(shown.motions) == 1:
            return f"It is {_MOTION_WORDS[shown.motions[0]]} the whole time."
        if kind == "first":
            return f"First it is {_MOTION_WORDS[shown.motions[0]]}."
        if kind == "then":
            return f"Then it is {_MOTION_WORDS[shown.motions[1]]}."
        return _capital(doing(shown.motions)) + "."

    def _answer_all(self, kind: str) -> str:
        names = [
            f"the {shown.medium}" if label.alone else f"the {ORDINALS[label.number]} {shown.medium}"
            for label, shown in zip(self.labels, self.shown, strict=True)
        ]
        if kind == "each":
            if all(s.shape is None for s in self.shown):
                return REFUSAL
            return " ".join(f"In {name}, {_clause(shown)}." for name, shown in zip(names, self.shown, strict=True))
        if any(s.shape is None for s in self.shown):
            return REFUSAL
        together = "both" if len(self.shown) == 2 else "all"
        if kind == "same_motion":
            if len({s.motions for s in self.shown}) == 1:
                return f"Yes. In {together} videos {doing(self.shown[0].motions)}."
            return "No. " + " ".join(
                f"In {name} {doing(shown.motions)}." for name, shown in zip(names, self.shown, strict=True)
            )
        words = [s.colour if kind == "same_colour" else s.shape or "" for s in self.shown]
        if len(set(words)) == 1:
            return f"Yes. {_capital(together)} are {words[0] + ('s' if kind == 'same_shape' else '')}."
        if kind == "same_shape":
            words = [article(w) for w in words]
        each = [f"the {ordinal} is {word}" for ordinal, word in zip(ORDINALS, words, strict=False)]
        return f"No. {_capital(', '.join(each))}."

    def _asked(self, options: Sequence[str], right: tuple[str, ...]) -> str:
        """What a yes/no question asks for: right as often as wrong."""
        if right and self.rng.random() < 0.5:
            return str(self.rng.choice(right))
        return str(self.rng.choice([o for o in options if o not in right]))

    def _politely(self, question: str) -> str:
        if self.rng.random() < 0.05:
            return self._pick(_POLITE) + question[0].lower() + question[1:]
        if self.rng.random() < 0.03:
            return f"{question[:-1]}, please{question[-1]}"
        return question

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def _say(self, pattern: str, **words: str) -> str:
        """Resolves the notation, innermost first, and fills in the words."""
        for name, word in words.items():
            pattern = pattern.replace("{" + name + "}", word)
        while match := re.search(r"\(([^()\[\]]*\|[^()\[\]]*)\)|\[([^()\[\]]*)\]", pattern):
            if match[1] is not None:
                chosen = self._pick(match[1].split("|"))
            else:
                chosen = self._pick([*match[2].split("|"), ""] if "|" in match[2] else [match[2], ""])
            pattern = pattern[: match.start()] + chosen + pattern[match.end() :]
        return re.sub(r" +([?.,!:])", r"\1", re.sub(r" {2,}", " ", pattern)).strip()


@dataclass(frozen=True)
class _Label:
    medium: str
    number: int
    alone: bool = True


_WAYS: Final = frozenset(("left", "right", "up", "down"))
_WEIGHTS: Final = [0.1, 0.1, 0.2, 0.04, 0.13, 0.13, 0.04, 0.03, 0.03, 0.1, 0.05, 0.05]
