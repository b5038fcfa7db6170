"""A follow-up beside `transformers.pipeline` and `transformers serve`, in the shape of llava-interleave 0.5b."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from asking import QUESTIONS, a_video, checkpoint, equality, shape_of
from floors import Costs, floor
from measuring import Bench, profiled, seconds, take_turns
from references.pipeline import Pipeline
from references.serve import serving
from report import Row
from shapes import TOKENS
from transformers import AutoConfig

from video_tool import VideoQA

ROWS = ("follow-up-pipeline", "follow-up-serve")
SLOW: dict[str, str] = {}

_FRAMES = 2
_NEW = 1

Ask = Callable[[str, Path, int, int], str]


def rows(bench: Bench) -> Iterator[Row]:
    """As `Bench.wanted` says."""
    folder = checkpoint(bench)
    if "follow-up-pipeline" in bench.wanted:
        yield _row(bench, folder, "follow-up-pipeline", '(b) `pipeline("image-text-to-text")`', Pipeline(folder).ask)
    if "follow-up-serve" in bench.wanted:
        with serving(folder) as served:
            yield _row(bench, folder, "follow-up-serve", "(c) `transformers serve`", served.ask)


def _row(bench: Bench, folder: Path, name: str, reference: str, ask: Ask) -> Row:
    qa, video = VideoQA(folder, device="cpu", dtype="float32"), a_video(bench, "asked")
    theirs: list[str] = []
    ours: list[str] = []

    def asking(number: int) -> float:
        return seconds(
            lambda: ours.append(qa.ask(QUESTIONS[number], [video], num_frames=_FRAMES, max_new_tokens=_NEW).text)
        )

    def referring(number: int) -> float:
        return seconds(lambda: theirs.append(ask(QUESTIONS[number], video, _FRAMES, _NEW)))

    asking(-1)  # the first question
    referring(-1)  # what theirs does once
    ours.clear()
    theirs.clear()
    pairs = take_turns(bench, name, bench.pairs(5), asking, referring)
    watched = profiled(lambda: qa.ask(QUESTIONS[6], [video], num_frames=_FRAMES, max_new_tokens=_NEW))
    costs = Costs(AutoConfig.from_pretrained(folder))
    words = watched.found.usage.text_tokens
    return Row(
        name,
        f"a follow-up of {_NEW} new token, {_FRAMES} frames, {shape_of(bench).name} shape, float32, CPU",
        reference,
        ratios=pairs.faster,
        **pairs.medians,
        floor=floor(bench.machine, "float32", costs.tokens(words, before=_FRAMES * TOKENS)),
        floor_is=f"weights, keys and values of {_FRAMES} frames read once for {words} new tokens",
        parts=watched.parts,
        notes=(equality(theirs, ours, video, _FRAMES),),
    )
