"""The bounds that counts are held to."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from counting import count_all, counting, draw_video, frames_decoded
from quick import BOUNDS, judge

from video_tool import VideoQA

WRITTEN = tomllib.loads(BOUNDS.read_text())


def test_each_bound_has_a_word_on_it() -> None:
    assert all(bound["why"].strip() and bound["at_most"] >= 0 for bound in WRITTEN.values())


def test_all_counts_are_within_their_bounds(tmp_path: Path) -> None:
    judged = judge(count_all(tmp_path), WRITTEN)
    assert [(each.name, each.count, each.verdict) for each in judged if not each.kept] == []


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"passes": 3.0}, "as recorded"),
        ({"passes": 3.01}, "worse"),
        ({}, "was not counted"),
        ({"passes": 3.0, "frames": 0.0}, "has no bound"),
    ],
)
def test_a_count_is_judged_by_its_bound(counts: dict[str, float], verdict: str) -> None:
    judged = judge(counts, {"passes": {"at_most": 3, "why": "three"}})
    assert judged[-1].verdict == verdict
    assert judged[-1].kept == (verdict == "as recorded")


def test_a_question_without_caches_is_counted_again(tmp_path: Path) -> None:
    from measuring import without_caches

    qa, video = VideoQA("builtin", device="cpu", settings=without_caches()), draw_video(tmp_path / "v.mp4", 24, 1)
    qa.ask("Is it red?", [video], num_frames=2, max_new_tokens=1)  # of a model, some things are found out once
    counts = []
    for _ in range(2):
        with counting() as counted:
            qa.ask("Is it red?", [video], num_frames=4, max_new_tokens=3)
        counts.append((counted.encoded, counted.pictures, counted.processed, counted.passes))
    assert counts == [(4, 4, 1, 3)] * 2


def test_decoding_every_frame_is_seen(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "v.mp4", 40, 1, keyframe_every=10)
    assert frames_decoded(video, "uniform", 40) >= 1
    assert frames_decoded(video, "keyframes", 4) == 1
