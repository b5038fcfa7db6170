from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_tool.errors import QuestionError
from video_tool.frames.sampling import (
    Timeline,
    check_sampling,
    nearest_each,
    scene_indices,
    select,
    uniform_indices,
)
from video_tool.question import Sampling
from video_tool.settings import Settings

SETTINGS = Settings(num_frames=8, max_frames=32)
milliseconds = st.integers(0, 60_000)


@st.composite
def videos(draw: st.DrawFn) -> tuple[list[float], float]:
    """Timestamps at uneven distances, on a grid of milliseconds, and the duration."""
    steps = draw(st.lists(st.integers(2, 2000), max_size=60))
    times = [0, *accumulate(steps)]
    return [time / 1000 for time in times], (times[-1] + draw(st.integers(2, 2000))) / 1000


def chosen(
    video: tuple[list[float], float], *, keyframes: Sequence[int] = (), cuts: Sequence[int] = (), **sampling: Any
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    asked = Sampling.model_validate(sampling)
    check_sampling(asked, SETTINGS)
    timeline = Timeline(
        "clip.mp4",
        *video,
        keyframes=lambda: keyframes,
        cuts=lambda first, stop: [cut for cut in cuts if first < cut < stop],
    )
    selection = select(timeline, asked, SETTINGS)
    return selection.indices, selection.warnings


def even(count: int, fps: float) -> tuple[list[float], float]:
    return [i / fps for i in range(count)], count / fps


@given(total=st.integers(1, 100_000), count=st.integers(1, 300))
def test_uniform_indices_are_spread_over_all_frames(total: int, count: int) -> None:
    indices = uniform_indices(total, count)
    count = min(count, total)
    assert indices == [i * total // count for i in range(count)]
    assert indices == sorted(set(indices))
    assert 0 == indices[0] <= indices[-1] < total
    gaps = {b - a for a, b in pairwise(indices)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(video=videos(), count=st.integers(1, 32))
def test_exactly_as_many_frames_as_asked_for_or_all_with_a_warning(
    video: tuple[list[float], float], count: int
) -> None:
    total = len(video[0])
    indices, warnings = chosen(video, num_frames=count)
    assert indices == tuple(i * total // min(count, total) for i in range(min(count, total)))
    assert bool(warnings) == (total < count)


@given(video=videos(), start=milliseconds, length=st.integers(1, 60_000), count=st.integers(1, 32))
def test_a_range_is_what_is_shown_in_it(video: tuple[list[float], float], start: int, length: int, count: int) -> None:
    timestamps, duration = video
    if start / 1000 >= duration:
        with pytest.raises(QuestionError, match="long, and the range starts"):
            chosen(video, start=start / 1000)
        return
    end = (start + length) / 1000
    starts, ends = [round(t * 1000) for t in timestamps], [*(round(t * 1000) for t in timestamps[1:]), math.inf]
    shown = [i for i, (a, b) in enumerate(zip(starts, ends, strict=True)) if a < start + length and b > start]
    indices, warnings = chosen(video, start=start / 1000, end=end, num_frames=count)
    wanted = min(count, len(shown))
    assert indices == tuple(shown[i * len(shown) // wanted] for i in range(wanted))
    assert any("before the asked end" in warning for warning in warnings) == (end > duration + 0.5)


@given(video=videos(), fps=st.floats(0.05, 100), start=milliseconds)
def test_fps_takes_the_frame_on_show_at_each_moment(video: tuple[list[float], float], fps: float, start: int) -> None:
    timestamps, duration = video
    if start / 1000 >= duration:
        return
    indices, warnings = chosen(video, fps=fps, start=start / 1000)
    assert list(indices) == sorted(set(indices))
    assert 1 <= len(indices) <= SETTINGS.max_frames
    assert 0 <= indices[0] <= indices[-1] < len(timestamps)
    above = (duration - start / 1000) * fps > SETTINGS.max_frames + 1e-6
    assert any("above the ceiling" in warning for warning in warnings) == above
    on_show = max(i for i, t in enumerate(timestamps) if round(t * 1000) <= start)
    assert indices[0] == on_show


@pytest.mark.parametrize(
    ("sampling", "indices"),
    [
        ({}, (0, 3, 7, 11, 15, 18, 22, 26)),
        ({"num_frames": 3}, (0, 10, 20)),
        ({"num_frames": 3, "start": 0.5}, (15, 20, 25)),
        ({"num_frames": 3, "start": 0.51}, (15, 20, 25)),
        ({"num_frames": 3, "end": 0.5}, (0, 5, 10)),
        ({"num_frames": 2, "start": 0.1, "end": 0.2}, (3, 4)),
        ({"num_frames": 1, "start": 0.99}, (29,)),
        ({"fps": 10}, tuple(range(0, 30, 3))),
        ({"fps": 30}, tuple(range(30))),
        ({"fps": 4, "start": 0.5}, (15, 22)),
        ({"fps": 0.01}, (0,)),
    ],
)
def test_half_a_second_and_others_of_thirty_frames_a_second(
    sampling: dict[str, float], indices: tuple[int, ...]
) -> None:
    assert chosen(even(30, 30), **sampling) == (indices, ())


def test_times_that_a_reader_knows_in_32_bits_only() -> None:
    # 32-bit floats: 0.1 is a little above and 0.08 a little below what was asked for
    times = [0.0, 0.03999999910593033, 0.07999999821186066, 0.10000000149011612, 0.15]
    assert chosen((times, 0.2), start=0.1)[0] == (3, 4)
    assert chosen((times, 0.2), end=0.08)[0] == (0, 1)
    assert chosen((times, 0.2), fps=10)[0] == (0, 3)


def test_uneven_times() -> None:
    video = ([0.0, 1.0, 1.1, 1.2, 5.0], 6.0)
    assert chosen(video, fps=1) == ((0, 1, 3, 4), ("clip.mp4 has 4 different frames at 1 a second, not 6.",))
    assert chosen(video, start=2, end=5, num_frames=1) == ((3,), ())
    assert chosen(video, start=0.5, end=1.15, num_frames=3) == ((0, 1, 2), ())


def test_a_rate_above_the_ceiling_is_spread_over_the_whole_video() -> None:
    indices, warnings = chosen(even(640, 64), fps=64)
    assert indices == tuple(range(0, 640, 20))
    assert warnings == ("64 frames a second of clip.mp4 are above the ceiling: 32 are used.",)


def test_a_rate_beyond_all_numbers() -> None:
    indices, warnings = chosen(even(640, 64), fps=1e308)
    assert len(indices) == 32
    assert "above the ceiling" in warnings[0]


def test_warnings_say_what_is_missing() -> None:
    assert chosen(even(1, 1))[1] == ("clip.mp4 has 1 frame in range, fewer than the 8 asked for.",)
    assert chosen(even(2, 1), num_frames=5)[1] == ("clip.mp4 has 2 frames in range, fewer than the 5 asked for.",)
    ends_early = "clip.mp4 ends at 2.00 s, before the asked end of 9 s."
    assert chosen(even(8, 4), end=9, num_frames=2) == ((0, 4), (ends_early,))
    assert chosen(even(8, 4), end=2.4, num_frames=2) == ((0, 4), ())


@pytest.mark.parametrize(
    "sampling",
    [
        {"num_frames": 0},
        {"num_frames": -3},
        {"num_frames": 33},
        {"num_frames": 3, "fps": 1.0},
        {"fps": 0.0},
        {"fps": -1.0},
        {"fps": math.inf},
        {"fps": math.nan},
        {"start": -1.0},
        {"start": math.nan},
        {"start": math.inf},
        {"end": 0.0},
        {"end": -1.0},
        {"end": math.nan},
        {"end": math.inf},
        {"start": 2.0, "end": 2.0},
        {"start": 2.0, "end": 1.0},
        {"timestamps": []},
        {"timestamps": [1.0] * 33},
        {"timestamps": [1.0, -0.5]},
        {"timestamps": [math.nan]},
        {"timestamps": [math.inf]},
        {"timestamps": [1.0], "num_frames": 1},
        {"timestamps": [1.0], "fps": 1.0},
        {"timestamps": [1.0], "strategy": "keyframes"},
        {"timestamps": [1.0], "strategy": "scenes"},
        {"fps": 1.0, "strategy": "scenes"},
    ],
)
def test_what_makes_sense_for_no_video_is_refused(sampling: dict[str, Any]) -> None:
    with pytest.raises(QuestionError) as caught:
        check_sampling(Sampling.model_validate(sampling), SETTINGS)
    assert caught.value.hint
    assert not caught.value.retryable


@pytest.mark.parametrize("start", [2.0, 2.5])
def test_a_range_past_the_end_is_refused(start: float) -> None:
    with pytest.raises(QuestionError, match=r"clip\.mp4 is 2\.00 s long") as caught:
        chosen(even(8, 4), start=start)
    assert "below 2.00" in caught.value.hint


@given(
    moments=st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=6).map(sorted),
    places=st.lists(st.integers(0, 30), unique=True, max_size=9).map(sorted),
)
def test_each_moment_gets_a_place_of_its_own(moments: list[int], places: list[int]) -> None:
    found = nearest_each(moments, places)
    assert len(found) == min(len(moments), len(places))
    assert all(a < b for a, b in pairwise([-1, *found, len(places)]))
    nearest = [min(abs(place - moment) for place in places) for moment in moments if places]
    got = [abs(places[place] - moment) for place, moment in zip(found, moments, strict=False)]
    free = [
        not any(abs(place - moment) == near for other in moments if other != moment)
        for moment, near in zip(moments, nearest, strict=False)
        for place in places
    ]
    if len(places) > len(moments) and all(free):
        assert got == nearest


@pytest.mark.parametrize(
    ("sampling", "indices"),
    [
        ({"num_frames": 3}, (0, 11, 21)),
        ({"num_frames": 3, "start": 0.4}, (14, 18, 25)),
        ({"num_frames": 1, "start": 0.8, "end": 0.9}, (25,)),
        ({"fps": 5}, (0, 7, 11, 18, 25)),
    ],
)
def test_keyframes_are_the_nearest_to_where_frames_would_be_taken(
    sampling: dict[str, float], indices: tuple[int, ...]
) -> None:
    keyframes = (0, 7, 11, 14, 18, 21, 25, 28)
    assert chosen(even(30, 30), strategy="keyframes", keyframes=keyframes, **sampling) == (indices, ())


def test_keyframes_are_asked_for_only_where_they_matter() -> None:
    def asked() -> Sequence[int]:
        raise AssertionError

    timeline = Timeline("clip.mp4", *even(30, 30), keyframes=asked, cuts=lambda first, stop: asked())
    assert select(timeline, Sampling(num_frames=2), SETTINGS).indices == (0, 15)


def test_few_keyframes_are_all_taken_and_none_are_told() -> None:
    few = "clip.mp4 has 2 keyframes in range, fewer than the 8 frames asked for."
    assert chosen(even(30, 30), strategy="keyframes", keyframes=(0, 12)) == ((0, 12), (few,))
    none = "clip.mp4 has no known keyframe in range: other frames are looked at."
    assert chosen(even(30, 30), strategy="keyframes", num_frames=2) == ((0, 15), (none,))
    beside = chosen(even(30, 30), strategy="keyframes", keyframes=(0, 29), num_frames=1, start=0.5, end=0.9)
    assert beside == ((15,), (none,))


@given(total=st.integers(1, 60), cuts=st.sets(st.integers(1, 59), max_size=8), count=st.integers(1, 20))
def test_every_scene_is_shown_while_there_are_frames(total: int, cuts: set[int], count: int) -> None:
    bounds = [0, *sorted(cut for cut in cuts if cut < total), total]
    indices = scene_indices(bounds, count)
    assert len(indices) == min(count, total)
    assert all(a < b for a, b in pairwise([-1, *indices, total]))
    shares = [sum(a <= index < b for index in indices) for a, b in pairwise(bounds)]
    if count < len(shares):
        assert max(shares) == 1
        return
    assert min(shares) >= 1
    lengths = [b - a for a, b in pairwise(bounds)]
    for a, b in combinations(range(len(shares)), 2):  # a frame stands for as many others in each scene
        assert lengths[a] / (shares[a] + 1) <= lengths[b] / max(shares[b] - 1, 1) or shares[b] == 1
        assert lengths[b] / (shares[b] + 1) <= lengths[a] / max(shares[a] - 1, 1) or shares[a] == 1


def test_frames_of_scenes_keep_away_from_the_cuts() -> None:
    assert scene_indices([0, 10, 40], 4) == [5, 15, 25, 35]
    assert scene_indices([0, 10, 20, 30], 2) == [5, 15]
    assert chosen(even(40, 10), strategy="scenes", cuts=(10,), num_frames=4) == ((5, 15, 25, 35), ())
    assert chosen(even(40, 10), strategy="scenes", cuts=(10,), num_frames=2, start=2) == ((25, 35), ())
    left_out = "clip.mp4 has 5 scenes in range; 2 of them are looked at."
    assert chosen(even(40, 10), strategy="scenes", cuts=(8, 16, 24, 32), num_frames=2) == ((4, 20), (left_out,))
    few = "clip.mp4 has 2 frames in range, fewer than the 8 asked for."
    assert chosen(even(2, 10), strategy="scenes", cuts=(1,)) == ((0, 1), (few,))


def test_timestamps_choose_what_is_shown_then() -> None:
    assert chosen(even(40, 10), timestamps=[3.05, 0, 1.5]) == ((0, 15, 30), ())
    assert chosen(even(40, 10), timestamps=[1.5], start=1, end=2) == ((15,), ())
    same = "clip.mp4 has 2 different frames at these timestamps, not 3."
    assert chosen(even(40, 10), timestamps=[1.5, 1.55, 2]) == ((15, 20), (same,))
    assert chosen(([0.0, 1.0, 1.1, 5.0], 6.0), timestamps=[4.9, 5.5])[0] == (2, 3)


@pytest.mark.parametrize("sampling", [{"timestamps": [1, 4.0]}, {"timestamps": [1], "start": 2}])
def test_a_timestamp_out_of_range_is_refused(sampling: dict[str, Any]) -> None:
    with pytest.raises(QuestionError, match=r"is not in the range of clip\.mp4, . s to 4\.00 s") as caught:
        chosen(even(40, 10), **sampling)
    assert "below 4.00" in caught.value.hint
