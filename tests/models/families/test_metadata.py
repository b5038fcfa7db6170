"""Processors get the true times of frames, and the true rate of them, whichever frames were chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.video_utils import VideoMetadata

from video_tool import FrameSequence
from video_tool.frames import Frames, read_video
from video_tool.models.families.metadata import video_metadata
from video_tool.question import Sampling
from video_tool.settings import Settings


def told(video: Frames) -> VideoMetadata:
    return VideoMetadata(**video_metadata(video))


def frames(total: int, sampling: Sampling, fps: float = 10.0) -> Frames:
    pixels = np.zeros((total, 2, 2, 3), np.uint8)
    return read_video(FrameSequence(pixels, fps=fps), sampling, Settings(max_frames=1000))


@given(total=st.integers(1, 300), count=st.integers(1, 300), fps=st.sampled_from([1.0, 10.0, 24.0, 29.97, 60.0]))
def test_frames_spread_over_the_whole_video_are_told_as_they_are(total: int, count: int, fps: float) -> None:
    video = frames(total, Sampling(num_frames=count), fps)
    metadata = video_metadata(video)
    assert metadata["frames_indices"] == list(video.indices)
    assert metadata["total_num_frames"] == total
    assert metadata["fps"] == pytest.approx(fps)
    assert metadata["duration"] == pytest.approx(total / fps)


@given(
    steps=st.lists(st.floats(0.01, 5), min_size=2, max_size=40),
    chosen=st.sets(st.integers(0, 39), min_size=1, max_size=8),
)
def test_times_are_true_where_the_rate_changes(steps: list[float], chosen: set[int]) -> None:
    times = np.cumsum(steps).tolist()
    pixels = np.zeros((len(times), 2, 2, 3), np.uint8)
    wanted = sorted({times[number % len(times)] for number in chosen})
    video = read_video(FrameSequence(pixels, timestamps=times), Sampling(timestamps=tuple(wanted)), Settings())
    assert told(video).timestamps == pytest.approx(video.timestamps, abs=0.05 / video.info.fps + 1e-9)


@pytest.mark.parametrize(
    ("sampling", "rate"),
    [
        (Sampling(fps=2, start=10, end=15), 2.0),
        (Sampling(num_frames=5, start=10, end=15), 1.0),
        (Sampling(timestamps=(1.0, 5.0, 9.0)), 0.25),
        (Sampling(num_frames=20), 1.0),
        (Sampling(num_frames=1), 1 / 20),
    ],
)
def test_the_rate_is_that_of_the_frames(sampling: Sampling, rate: float) -> None:
    assert told(frames(200, sampling)).sampled_fps == pytest.approx(rate)
