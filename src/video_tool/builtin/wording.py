"""The words of the built-in model's questions: patterns, and the notation that they are written in.

`(a|b)` is one of them, `[a]` is perhaps, `{name}` is filled in.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from video_tool.builtin.answers import MOTION_WORDS, NO_MOTION_IN_IMAGE, ORDINALS, REFUSAL
from video_tool.builtin.clips import COLOURS, MOTIONS, SHAPES

PARTICIPLES: Final = {
    "left": "(moving|going) (left|to the left|leftwards)",
    "right": "(moving|going) (right|to the right|rightwards)",
    "up": "(moving up|going up|moving upwards|going upwards|rising)",
    "down": "(moving down|going down|moving downwards|going downwards|falling|sinking)",
    "growing": "(growing|expanding|enlarging|(getting|becoming) (bigger|larger))",
    "shrinking": "(shrinking|contracting|(getting|becoming) smaller)",
    "still": "(staying still|standing still|still|not moving|motionless|staying in place|stationary)",
    "blinking": "(blinking|flashing|flickering|appearing and disappearing)",
}
VERBS: Final = {
    "left": "(move|go) (left|to the left|leftwards)",
    "right": "(move|go) (right|to the right|rightwards)",
    "up": "(move up|go up|move upwards|rise)",
    "down": "(move down|go down|move downwards|fall|sink)",
    "growing": "(grow|expand|(get|become) (bigger|larger))",
    "shrinking": "(shrink|(get|become) smaller)",
    "still": "(stay still|stand still|stay in place|not move)",
    "blinking": "(blink|flash|flicker|appear and disappear)",
}
ABOUT_ONE: Final[dict[str, tuple[str, ...]]] = {
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

ABOUT_ALL: Final[dict[str, tuple[str, ...]]] = {
    "each": (
        "What is (different|the difference)[ between {group}]?",
        "(Compare|What is the difference between) (the motion in |the motions in |the movements of |){group}.",
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
        "(Does|Do) {group} have the same motion?",
        "(Are they|Are both|Are all) doing the same [thing]?",
        "Do (they|both shapes|all shapes|both|all) (move|behave) (in the same way|the same way|alike|the same)?",
        "Do (they|both shapes|all shapes|both|all) do the same [thing]?",
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

MARKED_EACH: Final = (
    "Compare [the motion in ]{m1} (with|and|to) {m2}.",
    "What (moves|happens|is|is happening|is moving|do you see) in {m1}[,] and [what ][is ]in {m2}?",
    "What (moves|happens|is|do you see) in {m1}, [and ]what in {m2}?",
    "(Describe|Caption) {m1} and {m2}.",
    "Here is {m1} and here is {m2}. (What happens in each|Describe each|Describe both)?",
    "What does {m1} show, and what does {m2} show?",
)
MARKED_EACH_OF_THREE: Final = (
    "Compare [the motion in ]{m1}, {m2} and {m3}.",
    "What (moves|happens|is|is happening|is moving|do you see) in {m1}, [what ]in {m2}[,] and [what ]in {m3}?",
    "(Describe|Caption) {m1}, {m2} and {m3}.",
    "Here is {m1}, here is {m2} and here is {m3}. (What happens in each|Describe each|Describe all)?",
)
MARKED_SAME_OF_THREE: Final = (
    "(Do|Does) {m1}, {m2} and {m3} show the same (motion|movement|thing)?",
    "Are the shapes in {m1}, {m2} and {m3} doing the same [thing]?",
)
MARKED_SAME: Final = (
    "(Do|Does) {m1} and {m2} show the same (motion|movement|thing)?",
    "Is the (motion|movement) in {m1} the same as in {m2}?",
    "Is the shape in {m1} doing the same [thing ]as [the shape |the one ]in {m2}?",
    "Are the shapes in {m1} and {m2} doing the same [thing]?",
)
MARKED_LEAD: Final = ("Look at {all}.", "Here (is|are) {all}.", "{all}", "Watch {all}.", "Given {all}:", "Take {all}.")

FOLLOW_UP: Final[dict[str, tuple[str, ...]]] = {
    "colour": ("And (its|the|what|which) (colour|color)?", "(What|And what|And which) (colour|color) is it?", "What about (its|the) (colour|color)?"),
    "shape": ("And (its|the|what|which) shape?", "(And what|What) shape is it?", "What about (its|the) shape?"),
    "motion": ("And (its|the|what) (motion|movement)?", "And (how does it move|what is it doing|what does it do)?", "What about (its|the) (motion|movement)?"),
}  # fmt: skip
FOLLOW_REFERENCE: Final = (
    "And (in the {ordinal} {medium}|the {ordinal} [one])?",
    "What about the {ordinal} ({medium}|one)?",
    "And in {medium} {digit}?",
)

STRANGE: Final = (
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

POLITE: Final = ("Please tell me: ", "Can you tell me: ", "Question: ", "Hey, ", "Please: ")
FRAGMENTS: Final = (
    REFUSAL, NO_MOTION_IN_IMAGE, *POLITE,
    "It is red. It is a circle. It is an image. First it is moving left, then it is growing. Then it is growing.",
    "It is moving left the whole time. It is red, so yes. It is a circle, so no. In the first video it is. So yes. So no.",
    "The first is red, the second is blue, the third is a circle. Both. All. circles. squares. triangles. Yes. No.",
    "there is no shape. In the first image, there is a red circle.",
    "A red circle is first moving left, then growing. There is a red circle.",
    ("the this that these those it its image images video videos clip clips movie movies picture pictures film both all "
    "two three the two videos the three videos these two clips these three one 1 2 3 media user assistant system"),
    ("exactly now really just briefly currently mainly actually only shortly simply here below above following same other "
    "what's it's that's isn't doesn't don't , . ? ! : ; ' - \" ( ) [ ]"),
)  # fmt: skip


def say(rng: np.random.Generator, pattern: str, **words: str) -> str:
    """Fills in the words, then resolves the notation at random, innermost first."""
    for name, word in words.items():
        pattern = pattern.replace("{" + name + "}", word)
    while match := re.search(r"\(([^()\[\]]*\|[^()\[\]]*)\)|\[([^()\[\]]*)\]", pattern):
        options = match[1].split("|") if match[1] is not None else [*match[2].split("|"), ""]
        pattern = pattern[: match.start()] + options[int(rng.integers(len(options)))] + pattern[match.end() :]
    return re.sub(r" +([?.,!:])", r"\1", re.sub(r" {2,}", " ", pattern)).strip()


def every_phrase() -> list[str]:
    """All text that questions and answers are built from, the notation included: the tokenizer's corpus."""
    groups = [*ABOUT_ONE.values(), *ABOUT_ALL.values(), *FOLLOW_UP.values()]
    phrases = [phrase for group in groups for phrase in group]
    phrases += [
        *MARKED_EACH,
        *MARKED_SAME,
        *MARKED_EACH_OF_THREE,
        *MARKED_SAME_OF_THREE,
        *MARKED_LEAD,
        *FOLLOW_REFERENCE,
        *STRANGE,
    ]
    phrases += [*PARTICIPLES.values(), *VERBS.values(), *MOTION_WORDS.values(), *SHAPES, *COLOURS, *MOTIONS, *ORDINALS]
    return [*phrases, *FRAGMENTS]
