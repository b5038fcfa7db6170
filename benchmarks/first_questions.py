"""Questions that find little or nothing kept, in the shape of llava-interleave 0.5b: a first one, and another order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from asking import QUESTIONS, a_video, checkpoint, equality, shape_of
from floors import Costs, floor
from measuring import Bench, Pairs, profiled, seconds, take_turns, without_caches
from references.recipe import Recipe, read_frames
from report import Row
from transformers import AutoConfig

from video_tool import FrameSequence, VideoQA

ROWS = ("cold", "order")
SLOW: dict[str, str] = {}

_FRAMES = 2
"""The fewer, the more weighs what is not the model's; and each frame takes seconds."""
_ORDERED = 6
"""Of which the order changes; the vision tower's share of the work is about the same for any number."""
_NEW = 8
_MOST, _MORE = 0.03, 0.05
"""What a first question may cost beyond `generate`: a share, and seconds."""


def rows(bench: Bench) -> Iterator[Row]:
    """As `Bench.wanted` says."""
    folder = checkpoint(bench)
    if "cold" in bench.wanted:
        yield _cold(bench, folder)
    if "order" in bench.wanted:
        yield _order(bench, folder)


def _cold(bench: Bench, folder: Path) -> Row:
    recipe, qa = Recipe(folder), VideoQA(folder, device="cpu", dtype="float32")
    qa.load()
    count = bench.pairs(5)
    videos = [a_video(bench, f"cold-{number}", seconds=2 + number) for number in range(count + 1)]
    asked = QUESTIONS[0]
    very_first = qa.ask(asked, [videos[-1]], num_frames=_FRAMES, max_new_tokens=1).timings.decode
    inputs = [recipe.inputs(asked, read_frames(video, _FRAMES)) for video in videos]
    theirs: list[str] = []
    ours: list[str] = []

    def bare(number: int) -> float:
        given = inputs[number]
        began = time.perf_counter()
        with torch.inference_mode():
            out = recipe.model.generate(**given, max_new_tokens=_NEW, do_sample=False)
        took = time.perf_counter() - began
        said = out[0, given["input_ids"].shape[1] :]
        theirs.append(recipe.processor.decode(said, skip_special_tokens=True).strip())
        return took

    def asking(number: int) -> float:
        began = time.perf_counter()
        ours.append(qa.ask(asked, [videos[number]], num_frames=_FRAMES, max_new_tokens=_NEW).text)
        return time.perf_counter() - began

    bare(count)  # what the first run alone costs
    theirs.clear()
    pairs = take_turns(bench, "cold", count, asking, bare)
    fresh = a_video(bench, "cold-profiled", seconds=1)
    watched = profiled(lambda: qa.ask(asked, [fresh], num_frames=_FRAMES, max_new_tokens=_NEW))
    costs = Costs(AutoConfig.from_pretrained(folder))
    prompt = inputs[0]["input_ids"].shape[1]
    works = [costs.frames(_FRAMES), costs.tokens(prompt), *costs.generating(_NEW - 1, prompt)]
    median = pairs.medians["theirs"]
    return Row(
        "cold",
        f"a first question about a video, {_FRAMES} frames, {_NEW} new tokens, {shape_of(bench).name} shape, CPU",
        "bare `generate` on ready tensors",
        ratios=pairs.share,
        reads="× the time",
        at_most=1 + _MOST + _MORE / median,
        asked=f"≤ {1 + _MOST:g} × the time + {_MORE * 1000:g} ms",
        **pairs.medians,
        floor=floor(bench.machine, "float32", *works),
        floor_is="frames and prompt once, then one token at a time",
        parts=watched.parts,
        notes=(
            "The model was loaded, and each run asked about a new video.",
            f"Frames were read in {watched.found.timings.decode:.2f} s.",
            f"The process's first question of all starts the one that decodes: {very_first:.2f} s.",
            equality(theirs, ours, videos[0], _FRAMES),
        ),
    )


def _order(bench: Bench, folder: Path) -> Row:
    frames = 4 if bench.quick else _ORDERED
    pixels = np.stack([np.asarray(frame) for frame in read_frames(a_video(bench, "asked"), frames)])
    kept = VideoQA(folder, device="cpu", dtype="float32")
    bare = VideoQA(folder, device="cpu", dtype="float32", settings=without_caches())
    texts: dict[str, list[str]] = {"kept": [], "bare": []}

    def ask(qa: VideoQA, name: str, turned: int) -> float:
        # each order begins with another frame: nothing of one prompt is the beginning of another
        order = np.random.default_rng(turned).permutation(frames)
        order = np.concatenate([[turned], order[order != turned]])
        video = FrameSequence(pixels[order], fps=1, name="frames")

        def asking() -> None:
            texts[name].append(qa.ask(QUESTIONS[0], [video], num_frames=frames, max_new_tokens=1).text)

        return seconds(asking)

    bench.say(f"first order of {frames} frames: {ask(kept, 'kept', 0):.1f} s")
    texts["kept"].clear()
    pairs: Pairs = take_turns(
        bench, "order", 2, lambda number: ask(kept, "kept", number + 1), lambda number: ask(bare, "bare", number + 1)
    )
    costs = Costs(AutoConfig.from_pretrained(folder))
    prompt = costs.tokens(frames * costs.config.image_seq_length)
    return Row(
        "order",
        f"the same {frames} frames in another order, to the first token, {shape_of(bench).name} shape, CPU",
        "ours without caches",
        ratios=pairs.faster,
        at_least=1.6,
        **pairs.medians,
        floor=floor(bench.machine, "float32", prompt),
        floor_is="the prompt once, the vision tower not at all",
        parts=profiled(lambda: ask(kept, "kept", len(pairs.ours) + 1)).parts,
        notes=(equality(texts["bare"], texts["kept"]),),
    )
