"""The built-in model: many questions at once, more frames, and a thousand requests to one process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from asking import RECIPE, equality
from measuring import Bench, held_by_all, profiled, seconds, take_turns, without_caches
from references.recipe import Recipe, read_frames
from report import Row
from torch.utils.flop_counter import FlopCounterMode

from video_tool import Settings, VideoQA, builtin
from video_tool.builtin.clips import random_clip, render, write_video

ROWS = ("many-builtin", "frames-builtin", "requests")
SLOW: dict[str, str] = {}

CHECKPOINT = Path(builtin.__file__).parent / "checkpoint"
QUESTIONS = (
    "What happens in the video?",
    "What colour is the shape?",
    "What shape is it?",
    "Is it red?",
    "Is it a circle?",
    "Is it moving?",
    "Is it moving left?",
    "Does it grow?",
    "What does the shape do first?",
    "And what does it do then?",
    "What do you see in the video?",
    "Is the shape blue?",
    "Is it a square?",
    "Does it fall?",
    "Describe the video.",
    "What moves in the video?",
)
_FRAMES, _NEW = 12, 32
_REQUESTS, _STEP = 1000, 100
_CACHE = 16 << 20
"""Bytes of each cache in the row of requests: far fewer than the videos need, so that all is thrown out again."""


def clip(bench: Bench, name: str, number: int) -> Path:
    """A video as the built-in model knows them."""
    path = bench.scratch / f"{name}-{number}.mp4"
    if not path.exists():
        drawn = random_clip(np.random.default_rng([number, len(name)]), width=256, height=192)
        write_video(path, render(drawn, np.arange(96) / 96), fps=24, codec="libx264", options={"threads": "1"})
    return path


def rows(bench: Bench) -> Iterator[Row]:
    """As `Bench.wanted` says."""
    if "many-builtin" in bench.wanted:
        yield _many(bench)
    if "frames-builtin" in bench.wanted:
        yield _frames(bench)
    if "requests" in bench.wanted:
        yield _requests(bench)


def _many(bench: Bench) -> Row:
    recipe, qa = Recipe(CHECKPOINT), VideoQA("builtin", device="cpu")
    count = bench.pairs(5)
    videos = [clip(bench, "many", number) for number in range(count + 2)]
    theirs: list[str] = []
    ours: list[str] = []

    def asking(number: int) -> float:
        def ask() -> None:
            found = qa.ask_many(QUESTIONS, [videos[number]], num_frames=_FRAMES, max_new_tokens=_NEW)
            ours.extend(answer.text for answer in found)

        return seconds(ask)

    def referring(number: int) -> float:
        return seconds(
            lambda: theirs.extend(recipe.ask(question, videos[number], _FRAMES, _NEW) for question in QUESTIONS)
        )

    asking(count)  # loads the model
    ours.clear()
    pairs = take_turns(bench, "many-builtin", count, asking, referring)
    watched = profiled(lambda: qa.ask_many(QUESTIONS, [videos[-1]], num_frames=_FRAMES, max_new_tokens=_NEW))
    floor = _floor(bench, recipe, videos[0])
    return Row(
        "many-builtin",
        f"{len(QUESTIONS)} questions at once (`ask_many`) about a new video, {_FRAMES} frames, built-in model, CPU",
        f"{RECIPE}, one after another",
        ratios=pairs.faster,
        at_least=8,
        **pairs.medians,
        floor=floor,
        floor_is="frames and prompt once; then all answers at once, the weights read for each token",
        parts=watched.parts,
        notes=(equality(theirs, ours, videos[0], _FRAMES),),
    )


def _floor(bench: Bench, recipe: Recipe, video: Path) -> float:
    """Seconds, from the operations that torch counts and the weights' bytes."""
    frames = read_frames(video, _FRAMES)
    counts: list[int] = []
    tokens = 0
    for new in (1, _NEW):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            inputs = recipe.inputs(QUESTIONS[0], frames)
            out = recipe.model.generate(**inputs, max_new_tokens=new, do_sample=False)
        tokens = out.shape[1] - inputs["input_ids"].shape[1]
        counts.append(counter.get_total_flops())
    operations = counts[0] + len(QUESTIONS) * (counts[1] - counts[0])
    read = tokens * sum(weight.nbytes for weight in recipe.model.parameters())
    return max(operations / bench.machine.rates["float32"], read / bench.machine.rates["memory"])


def _frames(bench: Bench) -> Row:
    qa, video = VideoQA("builtin", device="cpu", settings=without_caches()), clip(bench, "frames", 0)

    def asking(frames: int) -> float:
        return seconds(lambda: qa.ask(QUESTIONS[0], [video], num_frames=frames, max_new_tokens=8))

    asking(32)
    pairs = take_turns(bench, "frames-builtin", bench.pairs(9), lambda _: asking(32), lambda _: asking(8))
    return Row(
        "frames-builtin",
        "a question about 32 frames, built-in model, CPU, nothing kept",
        "the same about 8",
        ratios=pairs.share,
        reads="× the time",
        at_most=4,
        **pairs.medians,
        parts=profiled(lambda: qa.ask(QUESTIONS[0], [video], num_frames=32, max_new_tokens=8)).parts,
    )


def _requests(bench: Bench) -> Row:
    count = _REQUESTS // 5 if bench.quick else _REQUESTS
    step = count // (_REQUESTS // _STEP)
    settings = Settings(prefix_cache_bytes=_CACHE, frame_cache_bytes=_CACHE)
    qa, rng = VideoQA("builtin", device="cpu", settings=settings), np.random.default_rng(0)
    videos = [clip(bench, "requests", number) for number in range(12 if bench.quick else 40)]
    series: list[int] = []
    for number in range(1, count + 1):
        which = rng.choice(len(videos), size=rng.integers(1, 3), replace=False)
        question = QUESTIONS[rng.integers(len(QUESTIONS))]
        qa.ask(question, [videos[each] for each in which], num_frames=int(rng.integers(4, 13)), max_new_tokens=16)
        if number % step == 0:
            gc.collect()
            series.append(held_by_all())
            bench.say(f"requests: {number} of {count}: {series[-1] / 2**20:.1f} MiB")
    megabytes = ", ".join(f"{held / 2**20:.0f}" for held in series)
    return Row(
        "requests",
        f"memory of a warm process after {count} requests, built-in model, caches of {_CACHE >> 20} MiB that churn",
        f"the same after {step}",
        ratios=(series[-1] / series[0],),
        reads="× the memory",
        at_least=0.98,
        at_most=1.02,
        asked="± 2 %",
        ours=series[-1] / 2**20,
        theirs=series[0] / 2**20,
        unit="MiB",
        notes=(f"MiB after every {step} requests, the decoding processes' included: {megabytes}.",),
    )
