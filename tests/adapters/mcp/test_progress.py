"""Progress: a number that only grows, and words that tell nothing of the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_tool.adapters.mcp.progress import CallProgress
from video_tool.progress import Progress


def test_each_step_counts_for_one_and_no_step_is_done_before_the_next() -> None:
    progress = CallProgress()
    heard: list[tuple[float, str]] = []
    for news in (
        Progress("download", "one.mp4", 0, 10_000_000, "bytes"),
        Progress("download", "one.mp4", 5_000_000, 10_000_000, "bytes"),
        Progress("download", "one.mp4", 10_000_000, 10_000_000, "bytes"),
        Progress("download", "two.mp4", 3_000_000, None, "bytes"),
        Progress("load", "/home/somebody/model", 0, 1, "models"),
        Progress("decode", "one.mp4", 4, 8, "frames"),
        Progress("generate", "/home/somebody/model", 12, None, "tokens"),
    ):
        progress.tell(news)
        if (position := progress.news()) is not None:
            heard.append((position.steps, position.words))
    assert heard == [
        (0, "Downloading"),
        (0.5, "Downloading: 5.0 of 10.0 MB"),
        (0.99, "Downloading: 10.0 of 10.0 MB"),
        (1, "Downloading: 3.0 MB"),
        (2, "Loading the model"),
        (3.5, "Reading frames: 4 of 8 frames"),
        (4, "Answering: 12 tokens"),
    ]


def test_nothing_is_told_twice() -> None:
    progress = CallProgress()
    assert progress.news() is None
    progress.tell(Progress("decode", "a", 1, 4, "frames"))
    assert progress.news() is not None
    assert progress.news() is None


def test_unknown_totals_grow_too() -> None:
    progress = CallProgress()
    told: list[float] = []
    for done in (1, 2, 3):
        progress.tell(Progress("download", "a", done, None, "bytes"))
        position = progress.news()
        assert position is not None
        told.append(position.steps)
    assert told == [0, 0.5, 0.75]


_NEWS = st.builds(
    Progress,
    st.sampled_from(["download", "decode", "load", "generate"]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 100),
    st.none() | st.integers(0, 50),
    st.sampled_from(["bytes", "frames", "tokens", "models"]),
)


@given(st.lists(_NEWS))
def test_it_only_grows_whatever_is_told(pieces: list[Progress]) -> None:
    progress = CallProgress()
    before = -1.0
    for news in pieces:
        progress.tell(news)
        if (position := progress.news()) is not None:
            assert position.steps > before
            before = position.steps


@pytest.mark.parametrize("stage", ["download", "decode", "load", "generate"])
def test_no_words_name_what_is_worked_on(stage: str) -> None:
    progress = CallProgress()
    progress.tell(Progress(stage, "/home/somebody/secret", 1, 2, "models"))  # type: ignore[arg-type]
    position = progress.news()
    assert position is not None
    assert "/" not in position.words
