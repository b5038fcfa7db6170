"""Engines with the same model share its weights; unloading and idling give the memory back."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.checkpoints import write_checkpoint
from video_tool import Progress, Settings, VideoAnswer, VideoQA
from video_tool.errors import ModelNotFoundError
from video_tool.models.sharing import Shared
from video_tool.models.transformers import TransformersModel

IMAGE = np.zeros((20, 20, 3), np.uint8)


def ask(qa: VideoQA, tokens: int = 4) -> VideoAnswer:
    return qa.ask("What?", images=[IMAGE], max_new_tokens=tokens)


def weights(qa: VideoQA) -> weakref.ref[torch.Tensor]:
    """The last of the weights, which keeps none of them."""
    model = qa._held.model
    assert isinstance(model, TransformersModel)
    return weakref.ref(model._model.lm_head.weight)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of this test's own: nobody else has its weights in memory."""
    return write_checkpoint(tmp_path / "own")


def test_engines_with_the_same_model_share_its_weights(folder: Path) -> None:
    one, two = VideoQA(folder, device="cpu"), VideoQA(str(folder), dtype="float32", device="cpu")
    said = ask(one).text
    assert ask(two).text == said
    assert weights(one)() is weights(two)()
    left = weights(one)
    one.unload()
    assert left() is not None
    assert ask(two).text == said
    two.unload()
    assert left() is None
    assert ask(one).text == said
    assert ask(one).timings.load == 0


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"attention": "eager"}])
def test_engines_with_other_options_do_not(folder: Path, options: dict[str, str]) -> None:
    one, two = VideoQA(folder, device="cpu"), VideoQA(folder, device="cpu", **options)
    one.load()
    two.load()
    assert weights(one)() is not weights(two)()


def test_a_checkpoint_that_changed_is_another(folder: Path) -> None:
    one, two = VideoQA(folder, device="cpu"), VideoQA(folder, device="cpu")
    one.load()
    path = folder / "model.safetensors"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    two.load()
    assert weights(one)() is not weights(two)()


def test_a_copy_is_another(folder: Path, tmp_path: Path) -> None:
    one, two = VideoQA(folder, device="cpu"), VideoQA(shutil.copytree(folder, tmp_path / "copy"), device="cpu")
    one.load()
    two.load()
    assert weights(one)() is not weights(two)()


def test_threads_that_load_the_same_at_once_load_it_once(folder: Path) -> None:
    engines = [VideoQA(folder, device="cpu") for _ in range(6)]
    together = threading.Barrier(len(engines))

    def load_and_ask(qa: VideoQA) -> str:
        together.wait()
        return ask(qa, tokens=8).text

    with ThreadPoolExecutor(len(engines)) as pool:
        texts = set(pool.map(load_and_ask, engines))
    assert texts == {ask(engines[0], tokens=8).text}
    assert len({id(weights(qa)()) for qa in engines}) == 1


def test_an_engine_that_is_gone_keeps_nothing(folder: Path) -> None:
    qa = VideoQA(folder, device="cpu", settings=Settings(unload_after=3600))
    ask(qa)
    left = weights(qa)
    del qa
    gc.collect()
    assert left() is None


def test_unloading_what_is_not_loaded_does_nothing(folder: Path) -> None:
    qa = VideoQA(folder, device="cpu")
    collected: list[str] = []

    def hear(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            collected.append(phase)

    gc.callbacks.append(hear)
    try:
        qa.unload()
        qa.unload()
        assert collected == []  # which would hold up everybody, for nothing
    finally:
        gc.callbacks.remove(hear)
    assert ask(qa).text


@pytest.mark.parametrize("way", ["unload", "idle"])
def test_a_question_keeps_its_model_to_the_end(folder: Path, way: str) -> None:
    qa = VideoQA(folder, device="cpu", settings=Settings(unload_after=1e-6 if way == "idle" else None))
    whole = ask(VideoQA(folder, device="cpu"), tokens=16)
    seen: list[bool] = []
    left: list[weakref.ref[torch.Tensor]] = []
    gone = threading.Event()

    def hear(report: Progress) -> None:
        if report.stage != "generate":
            return
        if not left:
            left.append(weights(qa))
            weakref.finalize(left[0](), gone.set)
        if way == "unload":
            qa.unload()
        seen.append(left[0]() is not None)

    qa.on_progress = hear
    assert ask(qa, tokens=16).text == whole.text
    assert len(seen) == whole.usage.new_tokens
    assert all(seen)
    assert gone.wait(30)
    assert qa._held.model is None
    qa.on_progress = lambda _: None
    again = ask(qa, tokens=16)
    assert again.text == whole.text
    assert again.timings.load > 0


def test_a_stream_keeps_its_model_to_the_end(folder: Path) -> None:
    qa = VideoQA(folder, device="cpu")
    whole = ask(qa, tokens=16)
    left = weights(qa)
    pieces = qa.stream("What?", images=[IMAGE], max_new_tokens=16)
    heard = [next(pieces)]
    qa.unload()
    heard += list(pieces)
    assert heard[-1].text == whole.text
    gc.collect()
    assert left() is None


def test_questions_in_a_row_do_not_load_again(folder: Path) -> None:
    qa = VideoQA(folder, device="cpu", settings=Settings(unload_after=3600))
    ask(qa)
    timer = qa._held._timer
    assert ask(qa).timings.load == 0
    assert qa._held._timer is timer  # one for all of them
    qa.unload()
    assert qa._held._timer is None


def test_a_model_that_cannot_be_loaded_can_be_loaded_later(folder: Path) -> None:
    away = folder.with_name("away")
    folder.rename(away)
    qa = VideoQA(folder, device="cpu")
    with pytest.raises(ModelNotFoundError):
        qa.load()
    away.rename(folder)
    assert ask(qa).text


def test_one_is_loaded_at_a_time_and_gone_with_the_last_who_has_it() -> None:
    class Thing:
        pass

    shared: Shared[Thing] = Shared()
    loading = threading.Semaphore(1)

    def load() -> Thing:
        assert loading.acquire(blocking=False)
        made = Thing()
        loading.release()
        return made

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: shared.get(number % 2, load), range(64)))
    assert len({id(thing) for thing in got}) == 2
    kept = weakref.ref(got[0])
    got.clear()
    gc.collect()
    assert kept() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_unloading_gives_the_memory_of_the_card_back(folder: Path) -> None:
    torch.zeros(1, device="cuda")
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    qa = VideoQA(folder, device="cuda:0")
    ask(qa)
    taken = torch.cuda.memory_reserved() - before
    assert taken > 0
    qa.unload()
    assert torch.cuda.memory_reserved() - before <= 0.05 * taken
