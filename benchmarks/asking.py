"""Several questions about one video, in the shape of llava-interleave 0.5b: ours beside the common recipe."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from floors import Costs, floor
from measuring import Bench, profiled, shares
from references.recipe import Recipe, read_frames
from report import Row
from shapes import CUT, HALF, TOKENS, Shape, written
from transformers import AutoConfig
from transformers.generation.streamers import BaseStreamer

from video_tool import Sampling, Settings, VideoAnswer, VideoQA
from video_tool.builtin.clips import write_video
from video_tool.frames import read_video

ROWS = ("follow-up", "five", "many", "follow-up-32")
SLOW = {"follow-up-32": "a quarter of an hour and 16 GiB"}

RECIPE = "(a) the common recipe"
QUESTIONS = (
    "What moves in the video?",
    "Does the square move left or right?",
    "Are these two doing the same thing?",
    "What is in the first frame?",
    "What is in the last frame?",
    "Does anything stay where it is?",
    "What colour is the thing in the middle?",
    "Is there a cat, yes or no?",
    "How many things are there?",
    "What happens first, and what then?",
    "Is it day or night?",
    "Is the camera moving?",
    "What would you call this video?",
    "Is there anything strange in it?",
    "What is behind the thing that moves?",
    "Does it end as it began?",
)
NEW = 32
"""Tokens of each answer."""
_MEMORY_FOR_32 = 16 << 30
_RATE = 30
"""Frames a second."""


@dataclass
class Taken:
    """What questions took, one after another: seconds until the first word, and until the last."""

    first: list[float] = field(default_factory=list[float])
    whole: list[float] = field(default_factory=list[float])
    texts: list[str] = field(default_factory=list[str])
    prompts: list[int] = field(default_factory=list[int])


class FirstToken(BaseStreamer):
    """Knows when the first token came; before it, `generate` tells the prompt."""

    def __init__(self) -> None:
        self.at = 0.0
        self._told = 0

    def put(self, value: Any) -> None:
        del value
        self._told += 1
        if self._told == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        """Nothing is held back."""


def shape_of(bench: Bench) -> Shape:
    return CUT if bench.quick else HALF


def checkpoint(bench: Bench) -> Path:
    """The checkpoint of the 0.5b shape, in float32."""
    shape = shape_of(bench)
    bench.say(f"writing a checkpoint of the shape {shape.name}")
    return written(bench.scratch / shape.name.partition(",")[0], shape)


def a_video(bench: Bench, name: str, seconds: int = 6) -> Path:
    """A camera that pans over something; with another name, over something else."""
    path = bench.scratch / f"{name}.mp4"
    if not path.exists():
        rng = np.random.default_rng(list(name.encode()))
        count = seconds * _RATE
        seen = np.kron(rng.integers(0, 256, (60, 80 + count // 4, 3), np.uint8), np.ones((6, 8, 1), np.uint8))
        frames = np.stack([seen[:, number : number + 640] for number in range(count)])
        write_video(path, frames, fps=_RATE, options={"preset": "veryfast"})
    return path


def ask_recipe(recipe: Recipe, question: str, video: Path, frames: int, new: int, taken: Taken) -> None:
    first = FirstToken()
    began = time.perf_counter()
    text = recipe.ask(question, video, frames, new, first)
    taken.whole.append(time.perf_counter() - began)
    taken.first.append(first.at - began)
    taken.texts.append(text)


def ask_ours(qa: VideoQA, question: str, video: Path, frames: int, new: int, taken: Taken) -> None:
    began, first = time.perf_counter(), None
    for piece in qa.stream(question, [video], num_frames=frames, max_new_tokens=new):
        first = first or time.perf_counter()
        if isinstance(piece, VideoAnswer):
            taken.texts.append(piece.text)
            taken.prompts.append((piece.usage.visual_tokens or 0) + (piece.usage.text_tokens or 0))
    taken.whole.append(time.perf_counter() - began)
    taken.first.append((first or began) - began)


def rows(bench: Bench) -> Iterator[Row]:
    """As `Bench.wanted` says."""
    folder = checkpoint(bench)
    costs = Costs(AutoConfig.from_pretrained(folder))
    recipe, qa = Recipe(folder), VideoQA(folder, device="cpu", dtype="float32")
    qa.load()
    shape = f"{shape_of(bench).name} shape, float32, CPU"
    frames = 2 if bench.quick else 12
    if bench.wanted & {"follow-up", "five", "many"}:
        video = a_video(bench, "asked")
        theirs, ours = one_after_another(bench, recipe, qa, video, frames, 5)
        followed = profiled(lambda: qa.ask(QUESTIONS[7], [video], num_frames=frames, max_new_tokens=1))
        if "follow-up" in bench.wanted:
            yield follow_up("follow-up", bench, costs, frames, shape, theirs, ours, video, followed.parts)
        if "five" in bench.wanted:
            yield _five(bench, costs, frames, shape, theirs, ours, video)
        if "many" in bench.wanted:
            yield _many(bench, costs, frames, shape, theirs, qa)
    if "follow-up-32" in bench.wanted:
        row = Row("follow-up-32", f"time to first token of a follow-up, 32 frames, {shape}", RECIPE, at_least=40)
        if psutil.virtual_memory().available < _MEMORY_FOR_32 and not bench.quick:
            yield Row(row.name, row.what, row.reference, at_least=40, skipped="less than 16 GiB of memory are free")
            return
        frames = 4 if bench.quick else 32
        video = a_video(bench, "long")
        theirs, ours = one_after_another(bench, recipe, qa, video, frames, 1)
        yield follow_up("follow-up-32", bench, costs, frames, shape, theirs, ours, video)


def one_after_another(
    bench: Bench, recipe: Recipe, qa: VideoQA, video: Path, frames: int, count: int
) -> tuple[Taken, Taken]:
    """So many questions, each asked of the recipe and of us in turn; of us one more, so that as many follow up."""
    theirs, ours = Taken(), Taken()
    for number, question in enumerate(QUESTIONS[: count + 1]):
        ask_ours(qa, question, video, frames, NEW, ours)
        if number < count:
            ask_recipe(recipe, question, video, frames, NEW, theirs)
        bench.say(
            f"{frames} frames, question {number + 1}: first token after {ours.first[-1]:.2f} s beside "
            f"{theirs.first[-1]:.2f} s, all {NEW} after {ours.whole[-1]:.2f} s beside {theirs.whole[-1]:.2f} s"
        )
    return theirs, ours


def follow_up(
    name: str,
    bench: Bench,
    costs: Costs,
    frames: int,
    shape: str,
    theirs: Taken,
    ours: Taken,
    video: Path,
    parts: tuple[tuple[str, float], ...] = (),
) -> Row:
    """Time to first token: each question of the recipe's beside our next one, which is never the first."""
    words = max(ours.prompts) - frames * TOKENS
    least = floor(bench.machine, "float32", costs.tokens(words, before=frames * TOKENS))
    return Row(
        name,
        f"time to first token of a follow-up, {frames} frames, {shape}",
        RECIPE,
        ratios=tuple(a / b for a, b in zip(theirs.first, ours.first[1:], strict=True)),
        at_least=40,
        ours=statistics.median(ours.first[1:]),
        theirs=statistics.median(theirs.first),
        floor=least,
        floor_is=f"weights, keys and values of {frames} frames read once for {words} new tokens",
        parts=parts,
        notes=(equality(theirs.texts, ours.texts, video, frames),),
    )


def _five(bench: Bench, costs: Costs, frames: int, shape: str, theirs: Taken, ours: Taken, video: Path) -> Row:
    asked = slice(0, len(theirs.whole))
    longest, count = max(ours.prompts), len(theirs.whole)
    works = [costs.frames(frames), costs.tokens(longest), *costs.generating(NEW - 1, longest) * count]
    works += [costs.tokens(longest - frames * TOKENS, before=frames * TOKENS)] * (count - 1)
    spent = {
        "the first question, to its first token": ours.first[0],
        "the others, to their first tokens": sum(ours.first[1:count]),
        f"generating {NEW - 1} further tokens for each": sum(ours.whole[asked]) - sum(ours.first[asked]),
    }
    return Row(
        "five",
        f"five questions one after another, {NEW} new tokens each, {frames} frames, {shape}",
        RECIPE,
        ratios=(sum(theirs.whole) / sum(ours.whole[asked]),),
        at_least=3.5,
        ours=sum(ours.whole[asked]),
        theirs=sum(theirs.whole),
        floor=floor(bench.machine, "float32", *works),
        floor_is=f"frames and prompt once, then {NEW} tokens for each of {count}, one at a time",
        parts=shares(spent),
        notes=(
            f"Questions took turns, ours and the recipe's: {count} each, so the sums are of as many alternating runs.",
            equality(theirs.texts, ours.texts, video, frames),
        ),
    )


def _many(bench: Bench, costs: Costs, frames: int, shape: str, theirs: Taken, qa: VideoQA) -> Row:
    video = a_video(bench, "another", seconds=5)
    bench.say(f"{len(QUESTIONS)} questions at once")
    done = profiled(lambda: qa.ask_many(QUESTIONS, [video], num_frames=frames, max_new_tokens=NEW))
    usage = done.found[0].usage
    prompt = (usage.visual_tokens or 0) + (usage.text_tokens or 0)
    rows = len(QUESTIONS)
    words = prompt - frames * TOKENS
    works = [costs.frames(frames), costs.tokens(prompt), costs.tokens(words, before=frames * TOKENS, rows=rows - 1)]
    works += costs.generating(NEW - 1, prompt, rows)
    whole = rows * statistics.median(theirs.whole)
    return Row(
        "many",
        f"{rows} questions at once (`ask_many`), {NEW} new tokens each, {frames} frames, {shape}",
        f"{RECIPE}, one after another",
        ratios=(whole / done.seconds,),
        at_least=8,
        ours=done.seconds,
        theirs=whole,
        floor=floor(bench.machine, "float32", *works),
        floor_is=f"frames and prompt once, then {NEW} tokens for all {rows} at once",
        parts=done.parts,
        notes=(
            f"The recipe was asked {len(theirs.whole)} questions: {rows} count as {rows} times their median.",
            "Ours was asked once, about a video that it had not seen.",
        ),
    )


def equality(theirs: list[str], ours: list[str], video: Path | None = None, frames: int = 0) -> str:
    """Whether both sides said the same, for a note; and where not, by how much the frames of a video differ."""
    same = sum(a == b for a, b in zip(theirs, ours, strict=False))
    if same == len(theirs):
        return f"All {same} answers are those of the reference."
    told = f"{same} of {len(theirs)} answers are those of the reference."
    if video is None:
        return told
    read = read_video(video, Sampling(num_frames=frames), Settings()).images
    off = max(
        int(np.abs(np.asarray(a, np.int16) - b).max()) for a, b in zip(read_frames(video, frames), read, strict=True)
    )
    return f"{told} What OpenCV decodes differs from our frames by up to {off} of 255."
