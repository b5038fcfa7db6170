"""What the clips show is what their description says: measured in their tracks and in their pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from video_tool.builtin.clips import (
    COLOURS,
    LARGEST,
    LEAST_GROWTH,
    MOTIONS,
    OPPOSITES,
    SHAPES,
    SHORTEST_WAY,
    SMALLEST,
    Clip,
    random_clip,
    render,
    tracks,
    write_video,
)

DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
TIMES = np.arange(24) / 24


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    short = draw(st.integers(64, 200))
    long = draw(st.integers(short, 2 * short))
    width, height = draw(st.permutations([short, long]))
    return random_clip(np.random.default_rng(draw(st.integers(0, 2**32))), width=width, height=height)


def one(motion: str, seed: int = 0, **options: str) -> Clip:
    return random_clip(np.random.default_rng(seed), width=96, height=80, motions=(motion,), **options)


def masks(clip: Clip, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the shape is to be seen: where the clip differs from its background alone."""
    clean = replace(clip, look=replace(clip.look, noise=0.0))
    drawn, empty = (render(each, times).astype(float) for each in (clean, replace(clean, shape=None)))
    return np.linalg.norm(drawn - empty, axis=-1) > 40


def centres(shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The shape's centre in each frame: x and y as fractions."""
    _, height, width = shown.shape
    return np.array([[columns.mean() / width, rows.mean() / height] for rows, columns in map(np.nonzero, shown)])


@given(clip=clips())
def test_a_shape_stays_inside_and_keeps_its_size(clip: Clip) -> None:
    x, y, size, visible = tracks(clip, np.linspace(0, 1, 50, endpoint=False))
    short = min(clip.width, clip.height)
    assert visible.any()
    assert SMALLEST - 1e-9 <= size.min() <= size.max() <= LARGEST + 1e-9
    half_width, half_height = size * short / clip.width / 2, size * short / clip.height / 2
    assert (half_width - 1e-9 <= x).all()
    assert (x <= 1 - half_width + 1e-9).all()
    assert (half_height - 1e-9 <= y).all()
    assert (y <= 1 - half_height + 1e-9).all()


@given(clip=clips())
def test_every_motion_is_as_large_as_promised(clip: Clip) -> None:
    for leg in clip.legs:
        (x, y, size), (end_x, end_y, end_size) = leg.start, leg.end
        if leg.motion in DIRECTIONS:
            along, across = np.array(DIRECTIONS[leg.motion]), np.array(DIRECTIONS[leg.motion])[::-1]
            way = np.array([end_x - x, end_y - y])
            assert way @ along >= SHORTEST_WAY
            assert abs(way @ across) < SHORTEST_WAY / 2
            assert end_size == size
        elif leg.motion == "growing":
            assert end_size >= LEAST_GROWTH * size
        elif leg.motion == "shrinking":
            assert size >= LEAST_GROWTH * end_size
        else:
            assert leg.start == leg.end
        if leg.motion not in DIRECTIONS:
            assert (x, y) == (end_x, end_y)


@given(clip=clips())
def test_the_second_half_begins_where_the_first_ends(clip: Clip) -> None:
    assert 1 <= len(clip.legs) <= 2
    if len(clip.legs) == 2:
        assert clip.legs[0].end == clip.legs[1].start
        assert clip.motions[0] != clip.motions[1]


@given(clip=clips())
def test_the_background_is_darker_than_the_shape(clip: Clip) -> None:
    assert max(max(rgb) for rgb in clip.look.backgrounds) < max(clip.look.rgb)


@given(
    seed=st.integers(0, 2**32),
    shape=st.sampled_from(SHAPES),
    colour=st.sampled_from(COLOURS),
    motions=st.lists(st.sampled_from(MOTIONS), min_size=1, max_size=2, unique=True),
)
def test_what_is_given_is_kept(seed: int, shape: str, colour: str, motions: list[str]) -> None:
    rng = np.random.default_rng(seed)
    clip = random_clip(rng, width=80, height=64, shape=shape, colour=colour, motions=tuple(motions))
    assert (clip.shape, clip.colour, clip.motions) == (shape, colour, tuple(motions))
    assert (clip.width, clip.height) == (80, 64)


def test_everything_is_drawn_by_chance_alone() -> None:
    def draw() -> Clip:
        return random_clip(np.random.default_rng(7), width=80, height=64)

    assert draw() == draw()
    assert np.array_equal(render(draw(), TIMES), render(draw(), TIMES))
    many = [random_clip(np.random.default_rng(seed), width=80, height=64) for seed in range(200)]
    assert {clip.shape for clip in many} == set(SHAPES)
    assert {clip.colour for clip in many} == set(COLOURS)
    assert {motion for clip in many for motion in clip.motions} == set(MOTIONS)
    assert {len(clip.legs) for clip in many} == {1, 2}


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), motion=st.sampled_from(list(DIRECTIONS)), shape=st.sampled_from(SHAPES))
def test_the_pixels_move_and_reversed_they_move_back(seed: int, motion: str, shape: str) -> None:
    moved = centres(masks(one(motion, seed, shape=shape), TIMES))
    for path, shown in ((moved, motion), (moved[::-1], OPPOSITES[motion])):
        way = path[-1] - path[0]
        assert way @ np.array(DIRECTIONS[shown]) > 0.9 * SHORTEST_WAY
        assert abs(way @ np.array(DIRECTIONS[shown])[::-1]) < SHORTEST_WAY / 2


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), motion=st.sampled_from(["growing", "shrinking"]), shape=st.sampled_from(SHAPES))
def test_the_pixels_grow_and_reversed_they_shrink(seed: int, motion: str, shape: str) -> None:
    areas = masks(one(motion, seed, shape=shape), TIMES).sum(axis=(1, 2))
    small, large = (areas[0], areas[-1]) if motion == "growing" else (areas[-1], areas[0])
    assert large > 0.8 * LEAST_GROWTH**2 * small


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_what_stays_still_does_not_move(seed: int) -> None:
    shown = masks(one("still", seed), TIMES)
    places = centres(shown)
    assert np.ptp(places, axis=0).max() < 0.05
    assert shown.any(axis=(1, 2)).all()


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_blinking_is_seen(seed: int) -> None:
    clip = one("blinking", seed)
    _, _, _, visible = tracks(clip, TIMES)
    areas = masks(clip, TIMES).sum(axis=(1, 2))
    least = 0.3 * (SMALLEST * min(clip.width, clip.height)) ** 2
    assert (areas[visible] > least).all()
    assert (areas[~visible] < least / 2).all()
    caught = [half.any() and not half.all() for half in (visible[:12], visible[12:])]
    assert clip.shows_its_motions(TIMES) == all(caught)


def test_moments_that_do_not_tell_a_motion() -> None:
    blinking = one("blinking")
    _, _, _, visible = tracks(blinking, TIMES)
    assert visible.any()
    assert not visible.all()
    assert blinking.shows_its_motions(TIMES)
    assert not blinking.shows_its_motions(TIMES[visible])
    assert not blinking.shows_its_motions(TIMES[~visible])
    assert not blinking.shows_its_motions(TIMES[visible | (TIMES < 0.5)])
    halves = random_clip(np.random.default_rng(0), width=64, height=64, motions=("left", "growing"))
    assert halves.shows_its_motions(TIMES)
    assert not halves.shows_its_motions(TIMES[:12])
    assert one("still").shows_its_motions(TIMES[[0, 12]])
    assert not one("still").shows_its_motions(TIMES[:12])


def test_a_background_alone() -> None:
    clip = replace(one("right"), shape=None)
    assert not tracks(clip, TIMES)[3].any()
    assert not clip.shows_its_motions(TIMES)
    assert render(clip, TIMES).shape == (24, 80, 96, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_differ_in_how_much_of_their_box_they_fill(shape: str) -> None:
    clip = one("still", 3, shape=shape)
    clip = replace(clip, look=replace(clip.look, triangle_height=1.0, blur=0.0, noise=0.0, shading=0.0))
    shown = masks(clip, TIMES[:1])[0]
    rows, columns = np.nonzero(shown)
    filled = shown.sum() / (np.ptp(rows) + 1) / (np.ptp(columns) + 1)
    assert filled == pytest.approx({"circle": np.pi / 4, "square": 1.0, "triangle": 0.5}[shape], abs=0.1)


@pytest.mark.parametrize(
    ("name", "codec", "width", "height"),
    [
        ("a.mp4", "libx264", 96, 80),
        ("a.webm", "libvpx-vp9", 96, 80),
        ("a.gif", "gif", 97, 81),
        ("a.mp4", "libx264", 97, 81),
    ],
)
def test_a_video_file_of_a_clip(name: str, codec: str, width: int, height: int, tmp_path: Path) -> None:
    clip = random_clip(np.random.default_rng(0), width=width, height=height, motions=("right",), colour="white")
    frames = render(clip, TIMES)
    write_video(tmp_path / name, frames, fps=12.5, codec=codec)
    with av.open(str(tmp_path / name)) as container:
        rate = container.streams.video[0].average_rate
        read = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert rate == 12.5
    even = (width, height) if codec == "gif" else (width // 2 * 2, height // 2 * 2)
    assert read.shape == (24, even[1], even[0], 3)
    written = frames[:, : even[1], : even[0]]
    assert np.abs(read.astype(float) - written).mean() < 30
    assert np.abs(read.astype(float) - written[::-1]).mean() > np.abs(read.astype(float) - written).mean()
