"""Strategies of other packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from video_tool import FrameSequence, Sampling, Settings, VideoQA
from video_tool.errors import QuestionError
from video_tool.frames import read_video

FRAMES = FrameSequence(np.zeros((20, 24, 32, 3), np.uint8), fps=10, name="black")

pytestmark = pytest.mark.usefixtures("plugged")


def test_it_chooses_out_of_the_range(lossless_videos: tuple[Path, Path]) -> None:
    settings = Settings(num_frames=4)
    frames = read_video(FRAMES, Sampling(strategy="ends"), settings)
    assert frames.indices == (0, 19)
    assert frames.timestamps == (0.0, 1.9)
    assert frames.warnings == ("ends chose 2 of black's frames, fewer than the 4 asked for.",)
    frames = read_video(FRAMES, Sampling(strategy="latest", start=0.5, end=1.0), settings)
    assert (frames.indices, frames.warnings) == ((6, 7, 8, 9), ())
    frames = read_video(lossless_videos[0], Sampling(strategy="latest", num_frames=30), settings)
    assert frames.indices == tuple(range(10))
    assert frames.warnings == ("right.mkv has 10 frames in range, fewer than the 30 asked for.",)


def test_a_question_takes_its_name_and_counts_its_frames_beforehand() -> None:
    answer = VideoQA("parrot:grey").ask("What moves?", [FRAMES], strategy="latest", num_frames=3)
    assert [frame.index for frame in answer.frames] == [17, 18, 19]


def test_a_strategy_that_nobody_has_is_told_before_anything_is_fetched() -> None:
    for settings, known in (
        (Settings(), "uniform, keyframes, scenes, ends, latest"),
        (Settings(plugins=()), "uniform, keyframes, scenes."),
    ):
        with pytest.raises(QuestionError, match="there is no strategy 'golden'") as caught:
            read_video("/nowhere/a.mp4", Sampling(strategy="golden"), settings)
        assert known in caught.value.hint


@pytest.mark.parametrize("given", [{"fps": 2.0}, {"timestamps": (0.5,)}])
def test_what_does_not_go_with_it_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(QuestionError, match="the strategy is ends"):
        read_video(FRAMES, Sampling.model_validate({"strategy": "ends", **given}), Settings())


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            "greedy",
            "was asked for up to 8 different frames of black, from 0 to 19, and chose 0, 1, 2, 3, 4, 5, 6, 7, …",
        ),
        ("lost", ".* and chose 20$"),
        ("idle", "chose no frame of black"),
        ("halves", "can't choose frames of black: TypeError: 'float' object cannot be interpreted as an integer"),
    ],
)
def test_one_that_chooses_what_it_may_not_is_named(strategy: str, message: str) -> None:
    with pytest.raises(QuestionError, match=f"the plugin {strategy} of Other_Plugins 1.5 {message}"):
        read_video(FRAMES, Sampling(strategy=strategy), Settings())
