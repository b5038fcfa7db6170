"""Trains the built-in model from nothing: `make train-builtin`, two to three hours on two CPU cores.

In LLaVA's own order: clips are drawn, the vision tower learns single frames, the language model learns to
talk about what the frozen tower sees, and at last everything learns together at a lower rate. Each stage
keeps its state under `build/train-builtin`: a stopped run goes on where it was.
"""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path

import bank
import checkpoint
import language
import torch
import tower
from rich.progress import track

WORK = Path("build/train-builtin")
TARGET = Path("src/video_tool/builtin/checkpoint")
SHARDS = 50
TOWER_STEPS = 2600
LANGUAGE_STEPS = 8500
TOGETHER_STEPS = 3000


def main() -> None:
    # Adam's averages of gradients that are zero (words seldom seen) decay into denormal numbers, which the CPU
    # computes with a hundred times slower: without this, the optimiser takes most of a step
    torch.set_flush_denormal(True)
    (WORK / "bank").mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool() as pool:
        draw = partial(bank.draw_shard, WORK / "bank")
        list(track(pool.imap_unordered(draw, range(SHARDS)), "drawing clips", total=SHARDS))
    clips = bank.load(WORK / "bank", SHARDS)
    tower.train(clips, WORK, TOWER_STEPS)
    words = checkpoint.tokenizer()
    torch.manual_seed(1)
    llava = checkpoint.model(words)
    llava.model.vision_tower.load_state_dict(torch.load(WORK / "tower.pt", weights_only=True))
    learner = language.Learner(llava, words)
    language.train(learner, words, clips, WORK, LANGUAGE_STEPS)
    language.train_together(learner, words, clips, WORK, TOGETHER_STEPS)
    checkpoint.save(llava, TARGET)


if __name__ == "__main__":
    main()
