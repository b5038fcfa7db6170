"""What a first question costs beyond the model's own `generate`: where it goes, in five parts.

    python benchmarks/first_question_parts.py [--model FOLDER] [--frames N] [--new N] [--runs N] [--side PIXELS]

Each run draws a new video, of which nothing is kept, and asks an engine of its own whose model is loaded. In turn:
`generate` on ready tensors of that video, the question while the process that decodes is there, and the question, about
one more video, while that has to start. All give the same number of tokens. The table has medians: milliseconds of the
clock, and of this process's processors, which tell more where others use the machine, too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from video_tool import Settings, VideoAnswer, VideoQA, VideoQuestion
from video_tool.builtin.clips import random_clip, render, write_video
from video_tool.frames.pool import POOL
from video_tool.models.transformers import TransformersModel
from video_tool.question import GenerationOptions, Sampling

QUESTION = "What happens in the video?"
SHARE, MORE = 0.03, 0.05
"""What a first question may cost beyond `generate`: a share of it, and seconds."""

Spent = tuple[float, float]
"""Seconds of the clock, and of this process's processors."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin", help="a checkpoint's folder, such as one that shapes.py writes")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--new", type=int, default=16, help="most new tokens")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--side", type=int, default=256, help="pixels of the videos' shorter side")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(asked, Path(folder))
        bench.run(-1)  # what a process does once
        bench.columns.clear()
        for number in range(asked.runs):
            bench.run(number)
        bench.print()


class Bench:
    """Runs, and what each part of them took."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.asked, self.folder = asked, folder
        self.settings = Settings(allowed_roots=(folder,))
        self.columns: defaultdict[str, list[Spent]] = defaultdict(list)
        self.kept = self.engine()  # keeps the weights in memory, which all engines share

    def engine(self) -> VideoQA:
        qa = VideoQA(self.asked.model, device="cpu", settings=self.settings)
        qa.load()
        return qa

    def run(self, number: int) -> None:
        first, second = (self.video(f"{number}-{which}", 2 * number + which + 2) for which in range(2))
        self.ask(first, self.engine(), "warm")
        engine = self.engine()
        POOL.end()
        self.ask(second, engine, "decoder starts")

    def ask(self, video: Path, qa: VideoQA, name: str) -> None:
        question = VideoQuestion(
            question=QUESTION,
            videos=(video,),
            sampling=Sampling(num_frames=self.asked.frames),
            generation=GenerationOptions(max_new_tokens=self.asked.new),
        )
        with self.spent(f"{name}: reading"):
            turn = qa.read(question)
        with self.spent(f"{name}: answering"):
            answer = qa.reply(turn)
        with self.held_model(qa) as model:
            prompt = self.timed(f"{name}: prompt", lambda: model.preprocessor.prompt(turn.messages))
            inputs = self.timed(
                f"{name}: pixels and tokens",
                lambda: model.preprocessor.encode(prompt, "cpu", model._model.dtype),
            )
            with torch.inference_mode():
                out = self.timed(
                    f"{name}: generate",
                    lambda: model._model.generate(**inputs, max_new_tokens=self.asked.new, do_sample=False),
                )
            assert out.shape[1] - inputs["input_ids"].shape[1] == answer.usage.new_tokens
        self.columns[f"{name}: decoding"].append((answer.timings.decode, 0.0))
        self.check(answer)

    def check(self, answer: VideoAnswer) -> None:
        assert len(answer.frames) == self.asked.frames
        assert answer.prefix_cache is None or answer.prefix_cache.tokens == 0
        assert not answer.videos[0].frames_from_cache

    @contextmanager
    def held_model(self, qa: VideoQA) -> Iterator[TransformersModel]:
        with qa._held.in_use(qa._load) as used:
            assert isinstance(used.model, TransformersModel)
            yield used.model

    @contextmanager
    def spent(self, name: str) -> Iterator[None]:
        began, busy = time.perf_counter(), time.process_time()
        yield
        self.columns[name].append((time.perf_counter() - began, time.process_time() - busy))

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        with self.spent(name):
            return work()

    def video(self, name: str, seed: int) -> Path:
        path, side = self.folder / f"{name}.mp4", self.asked.side
        drawn = random_clip(np.random.default_rng(seed), width=side * 4 // 3, height=side)
        write_video(path, render(drawn, np.arange(48) / 48), fps=24, codec="libx264", options={"threads": "1"})
        return path

    def print(self) -> None:
        print(
            f"{self.asked.model}: {self.asked.frames} frames, {self.asked.runs} runs, {torch.get_num_threads()} threads"
        )
        for name in ("warm", "decoder starts"):
            part = {
                key: np.array(self.columns[f"{name}: {key}"]) * 1000
                for key in ("reading", "decoding", "answering", "prompt", "pixels and tokens", "generate")
            }
            beyond = part["reading"] + part["answering"] - part["generate"]
            rows = {
                "decoding the frames": part["decoding"],
                "finding them, and what they take of the context": part["reading"] - part["decoding"],
                "the prompt": part["prompt"],
                "pixels and tokens": part["pixels and tokens"],
                "round generating": part["answering"] - part["prompt"] - part["pixels and tokens"] - part["generate"],
            }
            print(f"\n{name:50} {'clock':>8} {'busy':>8}  ms")
            for label, values in {"generate on ready tensors": part["generate"], "beyond it": beyond, **rows}.items():
                clock, busy = (median(column) for column in values.T)
                print(f"{'  ' * (label in rows) + label:50} {clock:8.1f} {busy:8.1f}")
            allowed = SHARE * median(part["generate"][:, 0]) + MORE * 1000
            print(f"{'allowed':50} {allowed:8.1f}")


if __name__ == "__main__":
    main()
