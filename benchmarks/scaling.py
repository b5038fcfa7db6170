"""What four times as many frames cost, in time and memory, in the shape of llava-interleave 0.5b."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
from asking import QUESTIONS, a_video, checkpoint, shape_of
from floors import Costs, floor
from measuring import Bench, Pairs, peak_memory, shares, without_caches
from report import Row
from transformers import AutoConfig

from video_tool import VideoQA
from video_tool.answer import Timings

ROWS = ("frames-8", "frames-8-memory", "frames-32", "frames-32-memory")
SLOW = dict.fromkeys(("frames-32", "frames-32-memory"), "ten minutes and 12 GiB")

_MEMORY_FOR_32 = 12 << 30


def rows(bench: Bench) -> Iterator[Row]:
    """As `Bench.wanted` says."""
    folder = checkpoint(bench)
    if bench.wanted & {"frames-8", "frames-8-memory"}:
        yield from _compared(bench, folder, "frames-8", 2, 8, bench.pairs(3))
    if bench.wanted & {"frames-32", "frames-32-memory"}:
        if psutil.virtual_memory().available < _MEMORY_FOR_32 and not bench.quick:
            for name in ("frames-32", "frames-32-memory"):
                what = "a first question about 32 frames, 0.5b shape, CPU"
                yield Row(name, what, "the same about 8", skipped="less than 12 GiB of memory are free")
            return
        yield from _compared(bench, folder, "frames-32", 8, 32, 1)


def _compared(bench: Bench, folder: Path, name: str, few: int, many: int, count: int) -> Iterator[Row]:
    qa = VideoQA(folder, device="cpu", dtype="float32", settings=without_caches())
    qa.load()
    before = psutil.Process().memory_info().rss
    few, many = (1, 4) if bench.quick else (few, many)
    video = a_video(bench, "asked")
    times, peaks = Pairs(), Pairs()
    timings: list[Timings] = []

    def ask(frames: int, seconds: list[float], held: list[float]) -> None:
        with peak_memory() as peak:
            answer = qa.ask(QUESTIONS[0], [video], num_frames=frames, max_new_tokens=2)
            held.append((peak() - before) / 2**20)
        seconds.append(answer.timings.total)
        timings.append(answer.timings)

    for _ in range(count):
        ask(few, times.theirs, peaks.theirs)
        ask(many, times.ours, peaks.ours)
        bench.say(
            f"{name}: {times.ours[-1]:.1f} s and {peaks.ours[-1]:.0f} MiB for {many} frames, "
            f"{times.theirs[-1]:.1f} s and {peaks.theirs[-1]:.0f} MiB for {few}"
        )
    spent = timings[-1]
    parts = shares({"decoding": spent.decode, "making the prompt": spent.prompt, "generating": spent.generate})
    costs = Costs(AutoConfig.from_pretrained(folder))
    tokens = many * costs.config.image_seq_length
    what = f"a first question about {many} frames, {shape_of(bench).name} shape, float32, CPU"
    common = {"what": what, "reference": f"the same about {few}", "at_most": many / few}
    if name in bench.wanted:
        yield Row(
            name,
            **common,
            ratios=times.share,
            reads="× the time",
            **times.medians,
            floor=floor(bench.machine, "float32", costs.frames(many), costs.tokens(tokens)),
            floor_is="frames and prompt once; attention grows with the square of the frames",
            parts=parts,
        )
    if f"{name}-memory" in bench.wanted:
        kept = costs.tokens(0, before=tokens).read - costs.tokens(0).read
        yield Row(
            f"{name}-memory",
            **common,
            ratios=peaks.share,
            reads="× the memory",
            **peaks.medians,
            unit="MiB",
            floor=kept / 2**20,
            floor_is="keys and values of the prompt, once",
            notes=("The most that was held beyond what the process held before its first question, model loaded.",),
        )
