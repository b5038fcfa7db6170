"""What is counted of questions to the built-in model, on any machine the same: passes, frames, tokens, bytes.

Passes of the model and of its vision tower are told by hooks of torch, calls of the processor and frames out of
decoders at the doors of Transformers and PyAV, bytes by the system, and what was spared by the answers' receipts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from torch.nn.modules.module import register_module_forward_hook
from transformers import LlavaForConditionalGeneration, LlavaProcessor
from transformers.image_utils import make_flat_list_of_images
from transformers.models.hiera.modeling_hiera import HieraModel

from video_tool import Settings, VideoQA
from video_tool.builtin.clips import random_clip, render, write_video
from video_tool.frames.containers import container_of
from video_tool.frames.header import read_header
from video_tool.frames.reader import Limits, VideoFile, VideoReader
from video_tool.frames.readers import Readers

FRAMES = 12
_LONG = 600
_ASKED = 8
_SIDE = 96
"""Pixels of the built-in model's frames, which are square."""
_QUESTIONS = (
    "What happens in the video?",
    "Is it red?",
    "What colour is the shape?",
    "Is it moving?",
    "What shape is it?",
    "Is it a circle?",
    "Is it moving left?",
    "Does it grow?",
    "Is the shape blue?",
    "Is it a square?",
    "Does it fall?",
    "Describe the video.",
    "What moves in the video?",
    "Is it green?",
    "Is it a triangle?",
    "Is it moving up?",
)


@dataclass
class Counted:
    """What was counted within a block.

    Attributes:
        passes: of the whole model.
        encoded: frames that the vision tower was given.
        processed: calls of the processor.
        pictures: images that it was given in them.
    """

    passes: int = 0
    encoded: int = 0
    processed: int = 0
    pictures: int = 0


@contextmanager
def counting() -> Iterator[Counted]:
    """Counts what models and processors of this process do within the block."""
    counted = Counted()

    def passed(module: Any, _given: Any, out: Any) -> None:
        if isinstance(module, LlavaForConditionalGeneration):
            counted.passes += 1
        elif isinstance(module, HieraModel):
            counted.encoded += out.last_hidden_state.shape[0]

    process = LlavaProcessor.__call__

    def processing(self: Any, images: Any = None, *args: Any, **kwargs: Any) -> Any:
        counted.processed += 1
        counted.pictures += len(make_flat_list_of_images(images)) if images else 0
        return process(self, images, *args, **kwargs)

    hook = register_module_forward_hook(passed)
    LlavaProcessor.__call__ = processing
    try:
        yield counted
    finally:
        LlavaProcessor.__call__ = process
        hook.remove()


class _Watched:
    """Something of PyAV's that counts the frames which come out of its decoder; otherwise it is what it stands for."""

    def __init__(self, real: Any, counts: list[int]) -> None:
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_counts", counts)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name in ("streams", "codec_context"):
            return _Watched(found, self._counts)
        if name in ("best", "decode", "demux", "seek"):
            return self._calling(name, found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)

    def _calling(self, name: str, method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            given = [getattr(each, "_real", each) for each in args]
            out = method(*given, **{key: getattr(each, "_real", each) for key, each in kwargs.items()})
            if name == "best":
                return _Watched(out, self._counts)
            if name == "decode":
                return self._counted(out)
            return out

        return call

    def _counted(self, frames: Any) -> Iterator[Any]:
        for frame in frames:
            self._counts[0] += 1
            yield frame


def frames_decoded(path: Path, strategy: str, count: int) -> float:
    """How many frames come out of the decoder for each that is taken, read as a decoding process reads them."""
    counts = [0]
    limits = Limits(1 << 25, 500_000)
    with path.open("rb") as opened:
        file = VideoFile(path, container_of(path, path.name), guessed=False, first=opened.read(1 << 12))
    file, _, container = read_header(file, limits)
    if container is not None:
        container.close()
    readers = Readers(())
    (name, *_), _ = readers.suited_to(file)
    opening = av.open
    av.open = lambda *args, **kwargs: _Watched(opening(*args, **kwargs), counts)
    try:
        reader: VideoReader = readers[name](file, limits)
        total = len(reader.metadata().timestamps)
        indices = [number * total // count for number in range(count)]
        if strategy == "keyframes":
            keys = np.asarray(reader.keyframes())
            indices = sorted({int(keys[np.abs(keys - index).argmin()]) for index in indices})
        for _ in reader.frames(indices):
            pass
    finally:
        av.open = opening
    return counts[0] / len(indices)


def bytes_written() -> int:
    """By the processes that this one has started: what decoding has handed over, for the most part. Linux only."""
    return sum(child.io_counters().write_chars for child in psutil.Process().children(recursive=True))


def draw_video(path: Path, frames: int, seed: int, keyframe_every: int = 250) -> Path:
    clip = random_clip(np.random.default_rng(seed), width=128, height=96)
    options = {"threads": "1", "g": str(keyframe_every), "keyint_min": str(keyframe_every), "sc_threshold": "0"}
    write_video(path, render(clip, np.arange(frames) / frames), fps=24, codec="libx264", options=options)
    return path


def count_all(scratch: Path) -> dict[str, float]:
    """All counts, by the names of bounds.toml."""
    qa = VideoQA("builtin", device="cpu", settings=Settings(frame_cache_bytes=64 << 20, prefix_cache_bytes=256 << 20))
    video, other, warming = (draw_video(scratch / f"{seed}.mp4", 96, seed) for seed in (1, 2, 4))
    long = draw_video(scratch / "long.mp4", _LONG, 3)
    qa.ask(_QUESTIONS[0], [warming], num_frames=4)  # loads the model, and starts the process that decodes
    found: dict[str, float] = {}

    before = bytes_written()
    with counting() as first:
        answer = qa.ask(_QUESTIONS[0], [video], num_frames=FRAMES)
    found["bytes_handed_over_per_byte_of_frames"] = (bytes_written() - before) / (FRAMES * _SIDE**2 * 3)
    found["passes_per_token"] = first.passes / (answer.usage.new_tokens or 1)
    found["frames_encoded_per_frame"] = first.encoded / FRAMES
    found["processor_calls"] = first.processed
    found["pictures_processed_per_frame"] = first.pictures / FRAMES

    before = bytes_written()
    with counting() as next_one:
        answer = qa.ask(_QUESTIONS[1], [video], num_frames=FRAMES)
    prompt = (answer.usage.visual_tokens or 0) + (answer.usage.text_tokens or 0)
    spared = answer.prefix_cache.tokens if answer.prefix_cache else 0
    found["follow_up_bytes_handed_over"] = bytes_written() - before
    found["follow_up_passes_per_token"] = next_one.passes / (answer.usage.new_tokens or 1)
    found["follow_up_frames_encoded"] = next_one.encoded
    found["follow_up_prompt_computed"] = (prompt - spared) / prompt
    found["follow_up_processor_calls"] = next_one.processed

    with counting() as many:
        answers = qa.ask_many(_QUESTIONS, [other], num_frames=FRAMES)
    longest = max(answer.usage.new_tokens or 0 for answer in answers)
    found["many_passes_per_token_of_the_longest"] = many.passes / longest
    found["many_frames_encoded_per_frame"] = many.encoded / FRAMES
    found["many_processor_calls_per_question"] = many.processed / len(_QUESTIONS)

    found["frames_decoded_uniform"] = frames_decoded(long, "uniform", _ASKED)
    found["frames_decoded_keyframes"] = frames_decoded(long, "keyframes", _ASKED)
    return found
