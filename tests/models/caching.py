"""What tests of caches have in common: engines with nothing kept, and what a model did for an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from video_tool import Settings, VideoQA
from video_tool.answer import VideoAnswer
from video_tool.models.prefix_cache import PrefixCache
from video_tool.models.transformers import TransformersModel

OFF = Settings(prefix_cache_bytes=0, feature_cache_bytes=0)


def opened(checkpoint: Path, settings: Settings) -> VideoQA:
    """An engine whose model is loaded, with nothing kept so far: engines share what they keep with their weights."""
    qa = VideoQA(checkpoint, device="cpu", dtype="float32", settings=settings)
    qa.load()
    model(qa).forget()
    return qa


def model(qa: VideoQA) -> TransformersModel:
    held = qa._held.model
    assert isinstance(held, TransformersModel)
    return held


def kept(qa: VideoQA) -> PrefixCache:
    return model(qa)._loaded.prefixes


@dataclass
class Work:
    """What a model did: how many frames its tower saw, and how many tokens went through its first layer, by pass."""

    frames: int = 0
    passes: list[int] = field(default_factory=list)


@contextmanager
def watched(qa: VideoQA) -> Iterator[Work]:
    work = Work()

    def see(_: Any, given: tuple[torch.Tensor, ...]) -> None:
        work.frames += given[0].shape[0]

    def read(_: Any, given: tuple[torch.Tensor, ...]) -> None:
        work.passes.append(given[0].shape[1])

    whole = model(qa)._model
    handles = [
        whole.get_submodule("model.vision_tower.encoder.layers.0").register_forward_pre_hook(see),
        whole.get_submodule("model.language_model.layers.0").register_forward_pre_hook(read),
    ]
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()


def spared(answer: VideoAnswer) -> int:
    assert answer.prefix_cache is not None
    return answer.prefix_cache.tokens


def same(one: VideoAnswer, other: VideoAnswer) -> bool:
    return (one.text, one.usage, one.finish_reason) == (other.text, other.usage, other.finish_reason)
