"""Reading that nobody waits for any more: its process is killed, whatever it does, and the next one is there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from tests.frames.videos import numbered, numbers_in, write_frames
from tests.frames.workers import busy_workers, none_left, wait_a_moment, worker_reading, workers_of
from tests.plugin_distribution.other_plugins.readers import write_scripted
from tests.stopping import SECONDS, stop_when
from video_tool import CancelScope, FrameSequence
from video_tool.errors import CancelledError, DeadlineError
from video_tool.frames import read_image, read_video
from video_tool.frames.pool import POOL
from video_tool.question import Sampling
from video_tool.settings import Settings

pytestmark = pytest.mark.usefixtures("unmeasured_workers")
SETTINGS = Settings(decode_timeout=4 * SECONDS)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("stopping") / "clip.mp4", numbered(50))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with none_left():
        yield


def read(path: Path) -> list[int]:
    return numbers_in(read_video(path, Sampling(num_frames=4), SETTINGS).images)


@pytest.mark.parametrize("script", ["hang in metadata", "hang in frames", "hold in frames"])
@pytest.mark.usefixtures("plugged")
def test_a_process_at_work_is_killed_and_replaced(tmp_path: Path, video: Path, script: str) -> None:
    stuck = write_scripted(tmp_path / "stuck.mp4", script)
    killed = []
    stop_when(lambda: killed.append(worker_reading(stuck)), lambda: read(stuck))
    assert not killed[0].is_running()
    (waiting,) = workers_of()
    assert read(video) == [0, 12, 25, 37]
    assert workers_of() == [waiting]


@pytest.mark.corpus
@pytest.mark.skipif("VIDEO_TOOL_CORPUS" not in os.environ, reason="VIDEO_TOOL_CORPUS names no folder")
def test_a_decoder_that_hangs_in_a_broken_file_is_killed(monkeypatch: pytest.MonkeyPatch, video: Path) -> None:
    corpus = Path(os.environ["VIDEO_TOOL_CORPUS"])
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", str(corpus))
    broken = corpus / "broken" / "missing-keyframe-labels.ts"
    settings = Settings(decode_timeout=4 * SECONDS)
    sampling = Sampling(num_frames=4)
    stop_when(lambda: worker_reading(broken), lambda: read_video(broken, sampling, settings))
    assert busy_workers() == []
    assert read(video) == [0, 12, 25, 37]


def test_a_process_that_only_starts_is_not_waited_for(video: Path) -> None:
    POOL.end()

    def starting() -> None:
        while not workers_of():
            wait_a_moment()

    stop_when(starting, lambda: read(video))
    assert read(video) == [0, 12, 25, 37]


@pytest.mark.usefixtures("plugged")
def test_a_deadline_is_no_error_of_the_file(tmp_path: Path) -> None:
    stuck = write_scripted(tmp_path / "stuck.mp4", "hang in metadata")
    with CancelScope(0.5), pytest.raises(DeadlineError, match=r"0\.5 seconds"):
        read(stuck)


@pytest.mark.usefixtures("plugged")
def test_waiting_for_a_process_is_given_up(tmp_path: Path, video: Path) -> None:
    """And what the others do is none of its business."""
    files = [
        write_scripted(tmp_path / f"{number}.mp4", "hang in frames") for number in range(max(2, os.cpu_count() or 1))
    ]
    scopes: list[CancelScope] = []
    ended: list[Path] = []

    def occupy(path: Path) -> None:
        with CancelScope() as scope:
            scopes.append(scope)
            with pytest.raises(CancelledError):
                read(path)
        ended.append(path)

    with ExitStack() as stack:
        for path in files:
            thread = threading.Thread(target=occupy, args=(path,))
            thread.start()
            stack.callback(thread.join)
            worker_reading(path)
        stack.callback(lambda: [scope.cancel() for scope in scopes])
        with CancelScope(0.3), pytest.raises(DeadlineError):
            read(video)
        assert ended == []
    assert sorted(ended) == files
    assert read(video) == [0, 12, 25, 37]


def test_a_process_that_was_not_at_work_is_kept(video: Path) -> None:
    read(video)
    (worker,) = workers_of()

    def on_progress(_: object) -> None:
        scope.cancel()

    with CancelScope() as scope, pytest.raises(CancelledError):
        read_video(video, Sampling(num_frames=4), SETTINGS, on_progress)
    assert read(video) == [0, 12, 25, 37]
    assert workers_of() == [worker]


def test_images_end_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path, compress_level=1)
    begin, read_block = PngImageFile.load_prepare, PngImageFile.load_read
    blocks: list[int] = []

    def begin_and_cancel(opened: PngImageFile) -> None:
        begin(opened)
        scope.cancel()

    def count_block(opened: PngImageFile, size: int) -> bytes:
        blocks.append(size)
        return read_block(opened, size)

    monkeypatch.setattr(PngImageFile, "load_prepare", begin_and_cancel)
    monkeypatch.setattr(PngImageFile, "load_read", count_block)
    with CancelScope() as scope, pytest.raises(CancelledError):
        read_image(path, SETTINGS)
    before = len(blocks)
    monkeypatch.setattr(PngImageFile, "load_prepare", begin)
    blocks.clear()
    assert read_image(path, SETTINGS).size == (500, 500)
    assert before < len(blocks)


def test_frames_that_are_images_are_not_read_on() -> None:
    class Pixels(list[np.ndarray]):
        def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
            asked.append(index)
            if len(asked) == 3:
                scope.cancel()
            return super().__getitem__(index)

    asked: list[int] = []
    frames = FrameSequence(Pixels([np.zeros((8, 8, 3), np.uint8)] * 9), fps=1)
    with CancelScope() as scope, pytest.raises(CancelledError):
        read_video(frames, Sampling(num_frames=9), SETTINGS)
    assert len(asked) == 3
