"""Whether calls that are cancelled at random moments are freed, seen from outside.

A process of its own runs the engine. It is told what to ask and, at a random moment of a stage, to cancel it. From
outside is measured how long it takes to say that the call has ended, and looked at what it then still has: processes
that hold a file or were not waited for, connections to the server, files in the folder for temporary ones. Then it is
asked something short twice: the first time should be as quick as the second. The aim: every call is freed within
2 seconds, and nothing is left.

Downloads come from a server on this machine that says nothing, stalls, drips or never ends. Decoded is a drawn video of
which all frames are looked at, and a broken one from the folder that VIDEO_TOOL_CORPUS names, if it is set, on which
FFmpeg hangs. The prefill is that of a checkpoint with random weights, with the widths of llava-interleave-qwen-0.5b and
a quarter of its layers, over 8 frames; the other stages are the built-in model's.

    PYTHONPATH=. python benchmarks/cancellation.py [calls]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.frames.workers import busy_workers
from tests.serve import Site, serve

CALLS = 100
SEED = 2026
AIM = 2.0
"""Seconds."""
STAGES = ("download", "decode", "prefill", "generate")


# ── The process that runs the engine ──────────────────────────────────────────────────────────────────────────────────


def host(large: str) -> None:
    """Asks what it reads, line by line; `cancel` cancels that. Says when a stage has begun, and how a call ended."""
    from video_tool import CancelScope, Settings, VideoQA
    from video_tool.errors import VideoToolError
    from video_tool.progress import Progress
    from video_tool.question import VideoQuestion

    told: set[str] = set()

    def say(**what: object) -> None:
        print(json.dumps(what), flush=True)

    def at(stage: str) -> None:
        if stage not in told:
            told.add(stage)
            say(at=stage)

    def hear(news: Progress) -> None:
        at(news.stage)

    settings = Settings(allowed_hosts=("127.0.0.1",), decode_timeout=600)
    engines = {
        "builtin": VideoQA("builtin", device="cpu", settings=settings, on_progress=hear),
        "large": VideoQA(large, device="cpu", settings=settings, on_progress=hear),
    }

    def run(call: dict[str, Any], scope: CancelScope) -> None:
        engine = engines[call["engine"]]
        try:
            with scope:
                turn = engine.read(VideoQuestion.of(call["question"], call["videos"], (), call["options"]))
                at("prefill")
                say(ended="answered", text=engine.reply(turn).text)
        except VideoToolError as error:
            say(ended=type(error).__name__, text=str(error))

    scope = CancelScope()
    for engine in engines.values():
        engine.load()
    say(at="ready")
    for line in sys.stdin:
        if line == "cancel\n":
            scope.cancel()
            continue
        told.clear()
        scope = CancelScope()
        threading.Thread(target=run, args=(json.loads(line), scope)).start()


# ── What is measured ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Call:
    """What is asked, and when it may be cancelled.

    Attributes:
        engine: `builtin` or `large`.
        videos: addresses or paths.
        options: of `VideoQA.ask`.
        question: what is asked.
        longest: seconds after the beginning of the stage, at the most.
    """

    engine: str
    videos: list[str]
    longest: float
    options: dict[str, Any] = field(default_factory=dict)
    question: str = "What moves in the video?"


@dataclass
class Outcome:
    """What became of a call that was cancelled: how long it took, what was left, and how long the next two calls."""

    freed: float
    left: list[str]
    following: float
    undisturbed: float


class Host:
    """The process, seen from outside."""

    def __init__(self, large: Path, scratch: Path) -> None:
        self.temp = scratch / "temp"
        self.cache = scratch / "cache"
        self.temp.mkdir()
        places = {"TMPDIR": str(self.temp), "VIDEO_TOOL_CACHE_DIR": str(self.cache)}
        roots = [str(scratch), *filter(None, [os.environ.get("VIDEO_TOOL_CORPUS")])]
        environment = os.environ | places | {"VIDEO_TOOL_ALLOWED_ROOTS": os.pathsep.join(roots)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "host", str(large)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.until("ready")

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def until(self, stage: str) -> bool:
        """Waits for the beginning of a stage; False where the call ended before."""
        while "ended" not in (said := self.hear()):
            if said["at"] == stage:
                return True
        return False

    def ended(self) -> dict[str, str]:
        while "ended" not in (said := self.hear()):
            pass
        return said

    def ask(self, call: Call) -> None:
        asked = {"engine": call.engine, "videos": call.videos, "options": call.options, "question": call.question}
        self.tell(json.dumps(asked))

    def seconds(self, call: Call) -> tuple[float, str]:
        """How long a call takes that nobody cancels, and its answer."""
        began = time.perf_counter()
        self.ask(call)
        said = self.ended()
        assert said["ended"] == "answered", said
        return time.perf_counter() - began, said["text"]

    def left(self, server: int) -> list[str]:
        """What it has that belongs to no call."""
        process = psutil.Process(self._process.pid)
        work = self.cache / "downloads" / "work"
        found = [str(worker.as_dict(["pid", "status", "open_files"])) for worker in busy_workers(process.pid)]
        found += [f"file {path.name}" for path in self.temp.iterdir()]
        found += [f"file {path.name}" for path in (work.iterdir() if work.exists() else ())]
        for connection in process.net_connections("tcp"):
            if connection.raddr and connection.raddr.port == server and connection.status == psutil.CONN_ESTABLISHED:
                found.append("connection")
        return found

    def close(self) -> None:
        with suppress(OSError):
            self._process.terminate()
        self._process.communicate()


def cancelled(host: Host, stage: str, call: Call, moment: float, site: Site) -> tuple[float, list[str]] | None:
    """Seconds until a call that is cancelled is freed, and what is left; None where it ended before."""
    site.asked.clear()
    host.ask(call)
    if stage == "download":
        assert site.asked.wait(60)
    elif not host.until(stage):
        return None
    time.sleep(moment)
    began = time.perf_counter()
    host.tell("cancel")
    said = host.ended()
    seconds = time.perf_counter() - began
    if said["ended"] == "answered":
        return None
    assert said["ended"] == "CancelledError", said
    return seconds, host.left(int(site.url.rpartition(":")[2]))


# ── What is asked ─────────────────────────────────────────────────────────────────────────────────────────────────────


def write_large(folder: Path) -> Path:
    """A checkpoint with random weights and the widths of llava-interleave-qwen-0.5b."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    from tests.checkpoints import processor, write_checkpoint

    write_checkpoint(folder)
    side, patch = 384, 14
    parts = processor()
    parts.image_processor.size = {"height": side, "width": side}
    parts.save_pretrained(folder)
    config = LlavaConfig.from_pretrained(folder)
    config.image_seq_length = (side // patch) ** 2
    vision, text = config.vision_config, config.text_config
    vision.image_size, vision.hidden_size, vision.intermediate_size = side, 1152, 4304
    vision.num_hidden_layers, vision.num_attention_heads = 6, 16
    text.hidden_size, text.intermediate_size, text.max_position_embeddings = 1024, 2816, 1 << 15
    text.num_attention_heads = text.num_key_value_heads = 16
    text.num_hidden_layers, text.layer_types = 6, ["full_attention"] * 6
    torch.manual_seed(SEED)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    return folder


def write_long(path: Path) -> Path:
    """A minute of noise drifting in 720p."""
    from video_tool.builtin.clips import write_video

    noise = np.random.default_rng(SEED).integers(0, 256, (45, 80, 3), np.uint8)
    picture = noise.repeat(16, axis=0).repeat(16, axis=1)
    frames = np.stack([np.roll(picture, 4 * number, axis=1) for number in range(600)])
    write_video(path, frames, fps=10, options={"preset": "ultrafast"})
    return path


def calls(site: Site, long: Path, demo: Path) -> dict[str, list[Call]]:
    """What is asked to be cancelled, by stage."""
    body: dict[str, Any] = {"content_type": "video/mp4"}
    addresses = [
        site.put("/silent.mp4", stall_before=True),
        site.put("/stalling.mp4", bytes(1 << 18), stall_after=1 << 17, **body),
        site.put("/dripping.mp4", bytes(1 << 18), drip_after=1 << 17, **body),
        site.put("/endless.mp4", bytes(1 << 16), repeat=1 << 30, with_length=False, **body),
        site.redirect("/redirected.mp4", f"{site.url}/stalling.mp4"),
    ]
    decoded = [Call("builtin", [str(long)], 1.5, {"strategy": "scenes"})]
    if "VIDEO_TOOL_CORPUS" in os.environ:
        broken = Path(os.environ["VIDEO_TOOL_CORPUS"]) / "broken" / "missing-keyframe-labels.ts"
        decoded.append(Call("builtin", [str(broken)], 3.0))
    return {
        "download": [Call("builtin", [address], 1.5) for address in addresses],
        "decode": decoded,
        "prefill": [Call("large", [str(demo)], 8.0, {"num_frames": 8, "max_new_tokens": 1})],
        "generate": [Call("builtin", [str(demo)] * 3, 0.15, {"num_frames": 6}, "What happens in each video?")],
    }


def main() -> None:
    """Measures and prints a table; ends with status 1 where the aim is missed."""
    from video_tool.builtin import DEMO_VIDEO

    count = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as made, serve() as site:
        scratch = Path(made)
        long = write_long(scratch / "long.mp4")
        host = Host(write_large(scratch / "large"), scratch)
        try:
            asked = calls(site, long, DEMO_VIDEO)
            short = {name: Call(name, [str(DEMO_VIDEO)], 0, {"num_frames": 1}) for name in ("builtin", "large")}
            short["large"].options["max_new_tokens"] = 1
            answers = {name: host.seconds(call)[1] for name, call in short.items()}
            outcomes: dict[str, list[Outcome]] = {stage: [] for stage in STAGES}
            for number in track(range(count), "Cancelling"):
                stage = STAGES[number % len(STAGES)]
                choices = asked[stage]
                call = choices[number // len(STAGES) % len(choices)]
                while True:
                    ended = cancelled(host, stage, call, rng.uniform(0, call.longest), site)
                    if ended is not None:
                        break
                following, text = host.seconds(short[call.engine])
                assert text == answers[call.engine]
                outcomes[stage].append(Outcome(*ended, following, host.seconds(short[call.engine])[0]))
        finally:
            host.close()
    sys.exit(not report(outcomes))


def report(outcomes: dict[str, list[Outcome]]) -> bool:
    """Prints the table; whether all were freed in time, and nothing was left."""
    table = Table("stage", "calls", f"freed in {AIM:g} s", "median", "longest", "left behind", "next", "after that")
    everything: list[Outcome] = []
    for stage, those in outcomes.items():
        everything += those
        table.add_row(stage, *_row(those))
    table.add_row("all", *_row(everything))
    Console(width=100).print(table, *(each.left for each in everything if each.left))
    return all(each.freed <= AIM and not each.left for each in everything)


def _row(those: list[Outcome]) -> list[str]:
    freed = [each.freed for each in those]
    in_time = sum(seconds <= AIM for seconds in freed)
    left = sum(bool(each.left) for each in those)
    following, undisturbed = [each.following for each in those], [each.undisturbed for each in those]
    times = (statistics.median(freed), max(freed), statistics.median(following), statistics.median(undisturbed))
    median, longest, *after = (f"{seconds:.3f} s" for seconds in times)
    return [str(len(those)), str(in_time), median, longest, str(left), *after]


if __name__ == "__main__":
    host(sys.argv[2]) if sys.argv[1:2] == ["host"] else main()
