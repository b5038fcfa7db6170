"""How often the built-in model is right: `make bench-builtin`, about twenty minutes on two cores.

Questions (a thousand of each, or as many as the command line says) about videos drawn by the project's own
renderer, then about videos drawn by another program (`other_renderer.py`). All are files (H.264, VP9, GIF), asked
through VideoQA, and none was seen in training. An answer counts as right when it is, to the letter, the one that the
question's facts call for. The report is written to docs/builtin-accuracy.md.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from other_renderer import write_random_video
from rich.progress import track

from video_tool import VideoQA
from video_tool.builtin.answers import Shown
from video_tool.builtin.clips import MOTIONS, random_clip, render, write_video
from video_tool.builtin.dialogue import random_conversation

REPORT = Path("docs/builtin-accuracy.md")
QUESTIONS = 1000
SEED = 2026
CODECS = {
    ".mp4": ("libx264", {"preset": "veryfast", "threads": "1"}),
    ".webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "threads": "1"}),
    ".gif": ("gif", {}),
}

WriteVideo = Callable[[np.random.Generator, Path, str, int, tuple[str, ...] | None], tuple[Path, Shown]]


@dataclass(frozen=True)
class Outcome:
    """One question with the answer that it got."""

    kind: str
    media: int
    turn: int
    question: str
    wanted: str
    got: str

    @property
    def right(self) -> bool:
        return self.got == self.wanted


def write_own(
    rng: np.random.Generator, folder: Path, name: str, num_frames: int, motions: tuple[str, ...] | None
) -> tuple[Path, Shown]:
    """A random clip of the project's own renderer, whose blinking shows in the frames that will be sampled."""
    suffix = str(rng.choice(list(CODECS), p=[0.5, 0.25, 0.25]))
    codec, options = CODECS[suffix]
    width, height = _size(rng)
    fps = float(rng.integers(8, 61)) if suffix != ".gif" else float(rng.choice([10, 20, 25, 50]))
    total = max(int(fps * 20 ** rng.random()), num_frames)
    times = np.arange(total) / total
    sampled = times[np.arange(num_frames) * total // num_frames]
    while True:
        clip = random_clip(rng, width=width, height=height, motions=motions)
        if clip.shows_its_motions(sampled):
            break
    if codec == "libx264":
        options = options | {"crf": str(rng.integers(18, 33))}
    elif codec == "libvpx-vp9":
        options = options | {"crf": str(rng.integers(20, 41)), "b": "0"}
    path = folder / f"{name}{suffix}"
    write_video(path, render(clip, times), fps=fps, codec=codec, options=options)
    return path, Shown("video", clip.shape, clip.colour, clip.motions)


def write_other(
    rng: np.random.Generator, folder: Path, name: str, num_frames: int, motions: tuple[str, ...] | None
) -> tuple[Path, Shown]:
    """A random clip of the other program."""
    path, clip = write_random_video(rng, folder, name, num_frames, motions)
    return path, Shown("video", clip.shape, clip.colour, clip.motions)


def ask_scene(job: tuple[str, int]) -> list[Outcome]:
    """Draws one scene (one to three videos, or an image among them) and asks one to three questions about it."""
    renderer, number = job
    write: WriteVideo = {"own": write_own, "other": write_other}[renderer]
    rng = np.random.default_rng([SEED, len(renderer), number])
    num_frames = int(rng.integers(4, 13))
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    with tempfile.TemporaryDirectory() as folder:
        shown: list[Shown] = []
        videos: list[Path] = []
        for index in range(count):
            same = shown[0].motions if shown and rng.random() < 0.35 else None
            path, facts = write(rng, Path(folder), f"{index}", num_frames, same)
            videos.append(path)
            shown.append(facts)
        images = [_image(rng, Path(folder), shown)] if count < 3 and rng.random() < 0.12 else []
        turns = random_conversation(rng, shown, int(rng.integers(1, 4)))
        conversation = _model().conversation(videos, images, num_frames=num_frames)
        return [
            Outcome(turn.kind, len(shown), number, turn.question, turn.answer, conversation.ask(turn.question).text)
            for number, turn in enumerate(turns, 1)
        ]


def main(questions: int = QUESTIONS) -> None:
    report = [f"# How often the built-in model is right\n\n{__doc__.split(chr(10), 2)[2].strip()}\n"]
    for renderer, title in (("own", "Videos of the project's own renderer"), ("other", "Videos of another program")):
        outcomes = _ask(renderer, questions)
        report.append(_section(title, outcomes))
        print(report[-1])
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(report))


def _ask(renderer: str, questions: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        # two questions a scene on average: more scenes than needed are lined up, and the rest is left
        scenes = pool.map(ask_scene, ((renderer, number) for number in range(questions)))
        for outcome in track(chain.from_iterable(scenes), f"videos: {renderer}", total=questions):
            outcomes.append(outcome)
            if len(outcomes) == questions:
                break
        pool.shutdown(cancel_futures=True)
    return outcomes


def _section(title: str, outcomes: list[Outcome]) -> str:
    right = sum(outcome.right for outcome in outcomes)
    lines = [f"## {title}\n", f"**{right} of {len(outcomes)} right: {right / len(outcomes):.1%}**\n"]
    groups = (
        ("question", lambda o: o.kind),
        ("videos and images", lambda o: str(o.media)),
        ("turn of the conversation", lambda o: str(o.turn)),
    )
    for name, key in groups:
        asked = Counter(key(o) for o in outcomes)
        good = Counter(key(o) for o in outcomes if o.right)
        lines += [f"| {name} | asked | right | |", "|---|---:|---:|---:|"]
        lines += [f"| {k} | {n} | {good[k]} | {good[k] / n:.1%} |" for k, n in sorted(asked.items())]
        lines.append("")
    wrong = [o for o in outcomes if not o.right][:10]
    lines += ["Some of what went wrong:\n", "| question | should be | was |", "|---|---|---|"]
    lines += [f"| {o.question.replace('|', ' ')} | {o.wanted} | {o.got} |" for o in wrong]
    return "\n".join(lines) + "\n"


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height in pixels, even, from 64 on, between 1:2 and 2:1."""
    short = 64 * 5 ** rng.random()
    long = short * 2 ** rng.random()
    sides = [int(side / 2) * 2 for side in (short, long)]
    width, height = sides if rng.random() < 0.5 else sides[::-1]
    return width, height


def _image(rng: np.random.Generator, folder: Path, shown: list[Shown]) -> Path:
    """Adds a still picture of one shape to what is shown."""
    from PIL import Image

    width, height = _size(rng)
    clip = random_clip(
        rng, width=width, height=height, motions=(str(rng.choice([m for m in MOTIONS if m != "blinking"])),)
    )
    path = folder / "image.png"
    Image.fromarray(render(clip, np.array([0.5]))[0]).save(path)
    shown.append(Shown("image", clip.shape, clip.colour, ()))
    return path


_loaded: list[VideoQA] = []


def _model() -> VideoQA:
    """One model a process."""
    if not _loaded:
        torch.set_num_threads(1)
        _loaded.append(VideoQA("builtin"))
    return _loaded[0]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
