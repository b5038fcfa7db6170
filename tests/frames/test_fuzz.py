"""A few damaged videos every day; CONTRIBUTING.md says how to try a thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frames.fuzz import Report, mutant, originals, run


def check(report: Report, count: int) -> None:
    assert report.outcomes.total() == count
    assert report.untyped == []
    assert report.late == []
    assert report.left == []


@pytest.mark.usefixtures("unmeasured_workers")
def test_damaged_videos_end_in_frames_or_typed_errors(tmp_path: Path) -> None:
    report = run(48, tmp_path)
    check(report, 48)
    assert report.outcomes["frames"] + report.outcomes["frames with a warning"] > 0
    assert report.outcomes["DecodeError"] + report.outcomes["NoVideoError"] > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_damaged_videos_end_in_frames_or_typed_errors(tmp_path: Path) -> None:
    check(run(1000, tmp_path), 1000)


def test_a_mutant_is_made_again_from_its_seed(tmp_path: Path) -> None:
    videos = originals(tmp_path)
    assert [mutant(videos, seed) for seed in range(12)] == [mutant(videos, seed) for seed in range(12)]
    assert all(mutant(videos, seed) != videos[seed % len(videos)] for seed in range(12))
