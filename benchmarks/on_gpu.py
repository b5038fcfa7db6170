"""The shape of llava-interleave 7b on a GPU: a follow-up, and questions at once, beside the common recipe."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

import torch
from asking import NEW, QUESTIONS, RECIPE, Taken, a_video, ask_ours, ask_recipe, equality
from floors import Costs, floor
from measuring import Bench, Pairs, profiled
from references.recipe import Recipe
from report import Row
from shapes import CUT, SEVEN, TOKENS, written
from transformers import AutoConfig

from video_tool import VideoAnswer, VideoQA

ROWS = ("gpu-follow-up", "gpu-concurrent")
SLOW: dict[str, str] = {}

_FRAMES = 32
_PAIRS = 5
_MEMORY = 60 << 30
"""Bytes of a GPU that hold the weights twice, and the keys and values of both sides."""


def rows(bench: Bench) -> Iterator[Row]:
    """As `Bench.wanted` says."""
    reason = _unfit()
    follow_up = Row(
        "gpu-follow-up",
        f"time to first token of a follow-up, {_FRAMES} frames, 7b shape, bfloat16, GPU",
        f"{RECIPE}, on the same GPU",
        at_least=15,
        skipped=reason,
    )
    concurrent = Row(
        "gpu-concurrent",
        f"tokens/s of {len(QUESTIONS)} concurrent questions about one video, {_FRAMES} frames, 7b shape, GPU",
        RECIPE,
        reads="× the tokens/s",
        at_least=8,
        skipped=reason,
    )
    if reason:
        yield from (row for row in (follow_up, concurrent) if row.name in bench.wanted)
        return
    shape = CUT if bench.quick else SEVEN
    folder = written(bench.scratch / f"gpu-{shape.hidden}", shape, "bfloat16", "cuda")
    recipe, qa = Recipe(folder, "bfloat16", "cuda"), VideoQA(folder, device="cuda", dtype="bfloat16")
    costs = Costs(AutoConfig.from_pretrained(folder), size=2)
    theirs, ours = Taken(), Taken()
    video = a_video(bench, "asked")
    ask_recipe(recipe, QUESTIONS[-1], video, _FRAMES, NEW, Taken())  # what the first run alone costs
    ask_ours(qa, QUESTIONS[-1], video, _FRAMES, NEW, Taken())
    for number, question in enumerate(QUESTIONS[:_PAIRS]):
        ask_ours(qa, question, video, _FRAMES, NEW, ours)
        ask_recipe(recipe, question, video, _FRAMES, NEW, theirs)
        bench.say(f"GPU, pair {number + 1}: {ours.first[-1]:.3f} s beside {theirs.first[-1]:.3f} s")
    if "gpu-follow-up" in bench.wanted:
        watched = profiled(lambda: qa.ask(QUESTIONS[-2], [video], num_frames=_FRAMES, max_new_tokens=1))
        words = watched.found.usage.text_tokens
        yield Row(
            **_of(follow_up),
            ratios=tuple(a / b for a, b in zip(theirs.first, ours.first, strict=True)),
            ours=statistics.median(ours.first),
            theirs=statistics.median(theirs.first),
            floor=floor(bench.machine, "bfloat16", costs.tokens(words, before=_FRAMES * TOKENS)),
            floor_is=f"weights, keys and values of {_FRAMES} frames read once for {words} new tokens",
            parts=watched.parts,
            notes=(equality(theirs.texts, ours.texts, video, _FRAMES),),
        )
    if "gpu-concurrent" in bench.wanted:
        yield _concurrent(bench, concurrent, costs, qa, theirs)


def _concurrent(bench: Bench, row: Row, costs: Costs, qa: VideoQA, theirs: Taken) -> Row:
    async def ask(video: object) -> list[VideoAnswer]:
        asked = (qa.aask(each, [video], num_frames=_FRAMES, max_new_tokens=NEW) for each in QUESTIONS)
        return list(await asyncio.gather(*asked))

    speeds = Pairs()
    prompt = 0
    for number in range(_PAIRS):
        video = a_video(bench, f"concurrent-{number}", seconds=2)
        began = time.perf_counter()
        answers = asyncio.run(ask(video))
        took = time.perf_counter() - began
        usage = answers[0].usage
        prompt = (usage.visual_tokens or 0) + (usage.text_tokens or 0)
        speeds.ours.append(sum(answer.usage.new_tokens or 0 for answer in answers) / took)
        speeds.theirs.append(NEW / theirs.whole[number])
        bench.say(f"GPU, concurrent: {speeds.ours[-1]:.0f} tokens/s beside {speeds.theirs[-1]:.0f}")
    count = len(QUESTIONS)
    words = prompt - _FRAMES * TOKENS
    works = [costs.frames(_FRAMES), costs.tokens(prompt), costs.tokens(words, _FRAMES * TOKENS, rows=count - 1)]
    works += costs.generating(NEW - 1, prompt, count)
    fastest = count * NEW / floor(bench.machine, "bfloat16", *works)
    return Row(
        **_of(row),
        ratios=speeds.share,
        **speeds.medians,
        unit="tokens/s",
        notes=(
            f"At the floor, the prompt once and all {count} answers at once, it would be {fastest:.0f} tokens/s.",
            "Each time about a new video, its first reading included; the recipe's are its single questions.",
        ),
    )


def _unfit() -> str:
    if not torch.cuda.is_available():
        return "there is no CUDA device"
    free = torch.cuda.mem_get_info()[0]
    return "" if free >= _MEMORY else f"the GPU has {free >> 30} GiB free, and {_MEMORY >> 30} are needed"


def _of(row: Row) -> dict[str, object]:
    """What is known of a row before it is measured."""
    return {name: getattr(row, name) for name in ("name", "what", "reference", "reads", "at_least")}
