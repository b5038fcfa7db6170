"""A file of which several things are asked is opened once, unless another worker or another file comes between."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.frames.openings import counted_by_kernel, openings
from tests.frames.videos import numbered, numbers_in, write_frames
from tests.frames.workers import busy_workers
from video_tool.errors import QuestionError
from video_tool.frames import FrameSize, probe_video, read_video
from video_tool.frames.decoding import FileDecoder
from video_tool.frames.opened import OpenVideo
from video_tool.frames.pool import POOL
from video_tool.frames.reading import fetch_video, full_size
from video_tool.question import Sampling
from video_tool.settings import Settings

SETTINGS = Settings()
SAMPLING = Sampling(num_frames=3)
SMALL = FrameSize(64, 32, 3)
BEFORE_READERS = 3
"""Openings of a path: to see that it may be read, and for the first bytes, on both sides."""


def small() -> FrameSize:
    return SMALL


@pytest.mark.parametrize(
    ("name", "codec", "by_readers"),
    [
        ("a.mp4", "libx264", 2),  # by FFmpeg, and for the tables that it keeps to itself
        ("a.mkv", "libx264", 1),
    ],
)
@counted_by_kernel
def test_what_is_opened_for_its_header_is_not_opened_again_for_its_frames(
    name: str, codec: str, by_readers: int, tmp_path: Path
) -> None:
    path = write_frames(tmp_path / name, numbered(20), codec=codec)
    with openings(path) as opened:
        frames = read_video(path, SAMPLING, SETTINGS)
        assert frames.info.reader == "pyav-seeking"
        assert opened() == BEFORE_READERS + by_readers


@counted_by_kernel
def test_what_was_measured_is_not_opened_again_to_be_read(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(20))
    with fetch_video(path, SETTINGS) as fetched, openings(path) as opened:
        measured = fetched.measure(SAMPLING)
        assert opened() > 0
        for sampling in (SAMPLING, Sampling(num_frames=5)):
            frames = fetched.read(sampling, small)
            assert numbers_in(frames.images) == list(frames.indices)
        assert opened() == 0
        assert measured.indices == fetched.measure(SAMPLING).indices == (0, 6, 13)
    assert busy_workers() == []


@counted_by_kernel
def test_a_report_opens_a_file_for_its_streams_and_once_for_all_else(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(20))
    with openings(path) as opened:
        report = probe_video(path, SETTINGS)
        assert report.video
        assert report.video.total_frames == 20
        assert opened() == BEFORE_READERS + 2 + 1


def test_a_file_that_changes_between_is_read_anew(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(20))
    other = write_frames(tmp_path / "b.mp4", numbered(30)[::-1])
    with fetch_video(path, SETTINGS) as fetched:
        assert fetched.measure(SAMPLING).indices == (0, 6, 13)
        other.replace(path)
        frames = fetched.read(SAMPLING)
        assert frames.indices == (0, 10, 20)
        assert numbers_in(frames.images) == [29, 19, 9]


def test_more_files_than_workers_are_read_in_turns(tmp_path: Path) -> None:
    count = 2 * max(2, os.cpu_count() or 1) + 1
    paths = [write_frames(tmp_path / f"{number}.mp4", numbered(10 + number)) for number in range(count)]
    with ExitStack() as stack:
        fetched = [stack.enter_context(fetch_video(path, SETTINGS)) for path in paths]
        for each in fetched:
            each.measure(SAMPLING)
        for number, each in enumerate(fetched):
            assert each.read(SAMPLING).info.total_frames == 10 + number
    assert busy_workers() == []


def test_a_worker_that_is_gone_meanwhile_is_replaced(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(20))
    with fetch_video(path, SETTINGS) as fetched:
        fetched.measure(SAMPLING)
        (held,) = busy_workers()
        held.kill()
        held.wait()
        assert numbers_in(fetched.read(SAMPLING).images) == [0, 6, 13]
    assert busy_workers() == []


def test_a_question_that_makes_no_sense_leaves_no_file_open(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(20))
    with pytest.raises(QuestionError):
        read_video(path, Sampling(start=5.0), SETTINGS)
    assert busy_workers() == []


def test_a_worker_with_a_file_is_lent_to_its_holder_first() -> None:
    one, two = object(), object()
    settings = (SETTINGS.decode_memory, None)
    with POOL.lend(*settings) as first, POOL.lend(*settings) as second:
        first.holder, second.holder = one, two
    for holder, expected in ((one, first), (two, second), (one, first)):
        with POOL.lend(*settings, holder) as worker:
            assert worker is expected
    with POOL.lend(*settings, object()) as worker:
        assert worker.holder is None
    POOL.release(one)
    POOL.release(two)
    assert (first.holder, second.holder) == (None, None)


def test_times_of_a_long_video_take_eight_bytes_each(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", np.zeros((2000, 32, 32, 3), np.uint8), options={"preset": "ultrafast"})
    timestamps: Sequence[float] = ()

    def choose(video: OpenVideo) -> Sequence[int]:
        nonlocal timestamps
        timestamps = video.metadata.timestamps
        return ()

    with fetch_video(path, SETTINGS) as fetched:
        assert isinstance(fetched.source, FileDecoder)
        fetched.source.decode(choose, full_size)
    assert isinstance(timestamps, memoryview)
    assert timestamps.nbytes == 8 * 2000
    assert timestamps[1] == 0.04
    assert type(timestamps[1]) is float
