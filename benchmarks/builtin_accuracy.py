"""How often the built-in model is right: `make bench-builtin`, about an hour on two cores.

Questions (a thousand of each, or as many as the command line says) about videos drawn by the project's own
renderer, then about videos drawn by another program (`other_renderer.py`), in conversations of one to three turns.
Then single questions about the former, through each way of asking: `ask`; `stream`; `openai:`, with the model behind a
server on this machine; and `choices`, four answers to choose from. All are files (H.264, VP9, GIF), asked through
VideoQA, and none was seen in training. An answer counts as right when it is, to the letter, the one that the question's
facts call for. The report is written to docs/builtin-accuracy.md.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from multiprocessing.util import Finalize
from pathlib import Path

import numpy as np
import torch
from other_renderer import write_random_video
from rich.progress import track

from tests.serving import serve_model
from video_tool import VideoQA
from video_tool.builtin.answers import Shown
from video_tool.builtin.clips import MOTIONS, random_clip, render, write_video
from video_tool.builtin.dialogue import Turn, random_conversation

REPORT = Path("docs/builtin-accuracy.md")
_HEADED = re.compile(r"(?ms)^(## (.+?)\n.*?)(?=^## |\Z)")
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
    way: str = "conversation"

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


def ask_scene(job: tuple[str, tuple[str, ...], int]) -> list[Outcome]:
    """Draws one scene (one to three videos, or an image among them) and asks about it.

    In a conversation these are one to three questions; else one, in each of several ways.
    """
    renderer, ways, number = job
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
        if ways:
            (turn,) = random_conversation(rng, shown, 1)
            return [
                Outcome(
                    turn.kind,
                    len(shown),
                    1,
                    turn.question,
                    turn.answer,
                    ask_alone(way, turn, shown, videos, images, num_frames, rng),
                    way,
                )
                for way in ways
            ]
        turns = random_conversation(rng, shown, int(rng.integers(1, 4)))
        conversation = local_model().conversation(videos, images, num_frames=num_frames)
        return [
            Outcome(turn.kind, len(shown), number, turn.question, turn.answer, conversation.ask(turn.question).text)
            for number, turn in enumerate(turns, 1)
        ]


def ask_alone(
    way: str,
    turn: Turn,
    shown: list[Shown],
    videos: list[Path],
    images: list[Path],
    num_frames: int,
    rng: np.random.Generator,
) -> str:
    """The answer to one question, through one way of asking."""
    match way:
        case "ask":
            return local_model().ask(turn.question, videos, images, num_frames=num_frames).text
        case "stream":
            *pieces, answer = local_model().stream(turn.question, videos, images, num_frames=num_frames)
            if "".join(map(str, pieces)) != answer.text:
                raise RuntimeError("the pieces are not the answer")
            return answer.text
        case "openai":
            return remote_model().ask(turn.question, videos, images, num_frames=num_frames).text
        case "choices":
            choices = other_answers(turn, shown, rng)
            choices.insert(int(rng.integers(len(choices) + 1)), turn.answer)
            return local_model().ask(turn.question, videos, images, num_frames=num_frames, choices=choices).text
    raise ValueError(way)


def other_answers(turn: Turn, shown: list[Shown], rng: np.random.Generator) -> list[str]:
    """Three wrong answers to a question: right ones to others of its kind, about other videos, as far as there are."""
    alike: dict[str, None] = {}
    others: dict[str, None] = {}
    for _ in range(300):
        other = random_conversation(rng, [replace_facts(each, rng) for each in shown])[0]
        if other.answer != turn.answer:
            (alike if other.kind == turn.kind else others)[other.answer] = None
        if len(alike) == 3:
            break
    return [*alike, *others][:3]


def replace_facts(shown: Shown, rng: np.random.Generator) -> Shown:
    """Something else of the same medium."""
    clip = random_clip(rng, width=64, height=64)
    return Shown(shown.medium, clip.shape, clip.colour, clip.motions if shown.motions else ())


def main(questions: int = QUESTIONS, *titles: str) -> None:
    """Writes the report, or of an older one the sections with these titles alone."""
    sections = {title: text for text, title in _HEADED.findall(REPORT.read_text())} if titles else {}
    for title in titles or SECTIONS:
        sections[title] = f"## {title}\n\n{SECTIONS[title](questions)}\n"
        print(sections[title])
    REPORT.parent.mkdir(exist_ok=True)
    head = f"# How often the built-in model is right\n\n{__doc__.split(chr(10), 2)[2].strip()}\n\n"
    REPORT.write_text(head + "\n".join(sections[title] for title in SECTIONS))


WAYS = ("ask", "stream", "openai", "choices")


def single_questions(questions: int) -> str:
    """A table of all ways of asking the same questions."""
    outcomes = _ask("own", WAYS, questions * len(WAYS))
    lines = ["| way | asked | right | |", "|---|---:|---:|---:|"]
    for way in WAYS:
        asked = [outcome.right for outcome in outcomes if outcome.way == way]
        lines.append(_row(f"`{way}`", len(asked), sum(asked)))
    return "\n".join(lines) + "\n"


def _ask(renderer: str, ways: tuple[str, ...], questions: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        # conversations have two questions on average: more scenes than needed are lined up, and the rest is left
        scenes = pool.map(ask_scene, ((renderer, ways, number) for number in range(questions)))
        for outcome in track(chain.from_iterable(scenes), f"videos: {renderer}", total=questions):
            outcomes.append(outcome)
            if len(outcomes) == questions:
                break
        pool.shutdown(cancel_futures=True)
    return outcomes


def conversations(renderer: str, questions: int) -> str:
    """How often answers in conversations are right, and when they are not."""
    outcomes = _ask(renderer, (), questions)
    right = sum(outcome.right for outcome in outcomes)
    lines = [f"**{right} of {len(outcomes)} right: {right / len(outcomes):.1%}**\n"]
    groups = (
        ("question", lambda o: o.kind),
        ("videos and images", lambda o: str(o.media)),
        ("turn of the conversation", lambda o: str(o.turn)),
    )
    for name, key in groups:
        asked = Counter(key(o) for o in outcomes)
        good = Counter(key(o) for o in outcomes if o.right)
        lines += [f"| {name} | asked | right | |", "|---|---:|---:|---:|"]
        lines += [_row(k, n, good[k]) for k, n in sorted(asked.items())]
        lines.append("")
    wrong = [o for o in outcomes if not o.right][:10]
    lines += ["Some of what went wrong:\n", "| question | should be | was |", "|---|---|---|"]
    lines += [f"| {o.question.replace('|', ' ')} | {o.wanted} | {o.got} |" for o in wrong]
    return "\n".join(lines) + "\n"


def _row(name: str, asked: int, right: int) -> str:
    return f"| {name} | {asked} | {right} | {right / asked:.1%} |"


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


@cache
def local_model() -> VideoQA:
    """One a process."""
    torch.set_num_threads(1)
    return VideoQA("builtin")


@cache
def remote_model() -> VideoQA:
    """The same behind a server, which each process has for itself, and ends before its threads are gone."""
    stack = ExitStack()
    served = stack.enter_context(serve_model(local_model()))
    Finalize(None, stack.close, exitpriority=10)
    return VideoQA(f"openai:{served.name}", base_url=served.base_url)


SECTIONS = {
    "Videos of the project's own renderer": partial(conversations, "own"),
    "Videos of another program": partial(conversations, "other"),
    "Single questions, through each way of asking": single_questions,
}

if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
