from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from video_tool.answer import VideoInfo
from video_tool.frames import Frames
from video_tool.frames.contact_sheet import contact_sheet

BACKGROUND = (17, 19, 24)
GREYS = range(40, 250, 8)


def frames_of(
    count: int, width: int = 64, height: int = 48, name: str = "cats.mp4", step: float = 0.5, start: float = 0.0
) -> Frames:
    """Plain frames, each of a grey of its own."""
    greys = np.array([GREYS[number % len(GREYS)] for number in range(count)], np.uint8)
    info = VideoInfo(
        name=name,
        width=width,
        height=height,
        duration=start + count * step,
        fps=2 / step,
        total_frames=2 * count,
        codec="h264",
        reader="decord",
    )
    return Frames(
        np.broadcast_to(greys[:, None, None, None], (count, height, width, 3)).copy(),
        tuple(range(0, 2 * count, 2)),
        tuple(start + number * step for number in range(count)),
        info,
    )


def tiles(sheet: Image.Image) -> dict[int, tuple[int, int, int, int]]:
    """Where each grey lies: left, top, width and height."""
    pixels = np.asarray(sheet)
    grey = np.where((pixels == pixels[..., :1]).all(axis=2), pixels[..., 0], 0)
    found: dict[int, tuple[int, int, int, int]] = {}
    for value in GREYS:
        # A whole row of a tile is of its colour; letters of that colour are never so wide.
        rows = np.flatnonzero((grey == value).sum(axis=1) >= 90)
        if len(rows):
            columns = np.flatnonzero((grey[rows] == value).all(axis=0))
            found[value] = (int(columns[0]), int(rows[0]), len(columns), len(rows))
    return found


@pytest.mark.parametrize(("width", "height", "tile_height"), [(64, 48, 240), (48, 64, 427), (640, 360, 180)])
def test_every_frame_is_drawn_once_in_reading_order_and_in_shape(width: int, height: int, tile_height: int) -> None:
    found = tiles(contact_sheet(frames_of(7, width, height), columns=3))

    assert list(found) == list(GREYS[:7])
    assert {place[2:] for place in found.values()} == {(320, tile_height)}
    places = [(top, left) for left, top, *_ in found.values()]
    assert places == sorted(places)
    assert len({left for left, *_ in found.values()}) == 3
    assert len({top for _, top, *_ in found.values()}) == 3


@pytest.mark.parametrize("columns", [None, 1, 4, 100])
@pytest.mark.parametrize("count", [1, 12])
def test_columns_given_or_chosen(count: int, columns: int | None) -> None:
    found = tiles(contact_sheet(frames_of(count), columns, tile_width=180))

    assert len(found) == count
    across = len({left for left, *_ in found.values()})
    assert across == {None: min(count, 4), 1: 1, 4: min(count, 4), 100: count}[columns]


@given(count=st.integers(1, 60), width=st.integers(8, 200), height=st.integers(8, 200))
def test_a_chosen_sheet_is_neither_a_strip_nor_a_column(count: int, width: int, height: int) -> None:
    sheet = contact_sheet(frames_of(count, width, height), tile_width=180)

    if count >= 12 and 0.5 <= width / height <= 2:
        assert 0.8 <= sheet.width / sheet.height <= 3


def test_labels_follow_timestamps_and_indices() -> None:
    frames = frames_of(2)
    later = replace(frames, indices=(0, 7), timestamps=(0.0, 90.25))
    changed = ImageChops.difference(contact_sheet(frames, 2), contact_sheet(later, 2)).getbbox()

    assert changed is not None
    left, top, right, bottom = changed
    (second_left, second_top, width, height) = tiles(contact_sheet(frames, 2))[GREYS[1]]
    assert left >= second_left
    assert right <= second_left + width
    assert top >= second_top + height
    assert bottom <= second_top + height + 26


@pytest.mark.parametrize("step", [0.5, 0.001])
@pytest.mark.parametrize("start", [0.0, 59.9, 3599.99, 100_000.0])
def test_labels_never_run_into_each_other(start: float, step: float) -> None:
    frames = frames_of(3, start=start, step=step)
    sheet = contact_sheet(replace(frames, indices=(0, 6_000_000, 6_000_001)), 3, tile_width=180)
    left, top, width, height = tiles(sheet)[GREYS[1]]
    labels = np.asarray(sheet.crop((left, top + height + 3, left + width, top + height + 26)))
    free = (labels == BACKGROUND).all(axis=(0, 2))

    # A gap of a few pixels lies between timestamp and number.
    inked = np.flatnonzero(~free)
    assert max(np.diff(inked)) >= 4


@pytest.mark.parametrize("name", ["a" * 300 + ".mp4", "Katzen – süß.mp4", "猫.mp4", "", "two\nlines\x1b[31m.mp4"])
def test_any_name_fits(name: str) -> None:
    sheet = contact_sheet(frames_of(1, name=name))
    margin = np.asarray(sheet)[:, -20:]

    assert (margin == BACKGROUND).all()


def test_a_name_loses_its_accents_but_not_its_letters() -> None:
    accented = contact_sheet(frames_of(1, name="déjà.mp4"))
    plain = contact_sheet(frames_of(1, name="deja.mp4"))

    assert ImageChops.difference(accented, plain).getbbox() is None


@pytest.mark.parametrize(("columns", "tile_width"), [(0, 320), (-1, 320), (None, 0), (None, 179)])
def test_a_sheet_without_room_is_refused(columns: int | None, tile_width: int) -> None:
    with pytest.raises(ValueError, match="or more"):
        contact_sheet(frames_of(1), columns, tile_width)
