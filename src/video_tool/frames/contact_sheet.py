"""The frames that a model would be shown, on one picture that a person can check."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from video_tool.answer import VideoInfo
    from video_tool.frames import Frames

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_BACKGROUND = (17, 19, 24)
_TILE_EDGE = (52, 57, 68)
_BRIGHT = (236, 239, 244)
_DIM = (139, 147, 163)

_MARGIN = 24
_GAP = 16
_LABEL_HEIGHT = 26
_HEADER_HEIGHT = 62
_MIN_TILE_WIDTH = 180  # narrower ones have no room for their label
_LANDSCAPE = 16 / 10  # the shape that a sheet comes near to when the columns are left to it


def contact_sheet(frames: Frames, columns: int | None = None, tile_width: int = 320) -> Image.Image:
    """Draw the frames in reading order, each with its timestamp and its number in the video.

    Args:
        frames: what to draw.
        columns: tiles in a row; chosen for a sheet about as wide as a screen when not given.
        tile_width: pixels; heights follow from the video's shape.
    """
    if columns is not None and columns < 1:
        raise ValueError(f"columns has to be 1 or more, not {columns}")
    if tile_width < _MIN_TILE_WIDTH:
        raise ValueError(f"tile_width has to be {_MIN_TILE_WIDTH} or more, not {tile_width}")
    count, height, width = frames.images.shape[:3]
    tile_height = max(1, round(tile_width * height / width))
    columns = min(columns, count) if columns else _balanced_columns(count, tile_width, tile_height)
    rows = math.ceil(count / columns)

    name_font, text_font = _font(22), _font(15)
    name, details = _drawable(frames.info.name), _details(frames.info, count)
    # One narrow tile still leaves room for the details; a name may be of any length and is cut instead.
    tiles_width = columns * (tile_width + _GAP) - _GAP
    content_width = max(tiles_width, math.ceil(text_font.getlength(details)))
    sheet = Image.new(
        "RGB",
        (
            content_width + 2 * _MARGIN,
            2 * _MARGIN + _HEADER_HEIGHT + rows * (tile_height + _LABEL_HEIGHT + _GAP) - _GAP,
        ),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 6), _cut(name, name_font, content_width), fill=_BRIGHT, font=name_font)
    draw.text((_MARGIN, _MARGIN + 26), details, fill=_DIM, font=text_font)

    decimals = _decimals(frames.timestamps)
    for position, (pixels, index, timestamp) in enumerate(
        zip(frames.images, frames.indices, frames.timestamps, strict=True)
    ):
        left = _MARGIN + position % columns * (tile_width + _GAP)
        top = _MARGIN + _HEADER_HEIGHT + position // columns * (tile_height + _LABEL_HEIGHT + _GAP)
        tile = Image.fromarray(pixels).resize((tile_width, tile_height), Image.Resampling.LANCZOS)
        sheet.paste(tile, (left, top))
        # Dark frames would otherwise run into the background.
        draw.rectangle((left - 1, top - 1, left + tile_width, top + tile_height), outline=_TILE_EDGE)
        label_top = top + tile_height + 6
        draw.text((left, label_top), _clock(timestamp, decimals), fill=_BRIGHT, font=text_font)
        draw.text((left + tile_width, label_top), f"#{index}", fill=_DIM, font=text_font, anchor="ra")
    return sheet


def _balanced_columns(count: int, tile_width: int, tile_height: int) -> int:
    def badness(columns: int) -> tuple[float, int]:
        rows = math.ceil(count / columns)
        shape = columns * (tile_width + _GAP) / (rows * (tile_height + _LABEL_HEIGHT + _GAP))
        # An empty place in the last row costs about as much as a sheet that is a tenth too wide.
        empty = columns * rows - count
        return abs(math.log(shape / _LANDSCAPE)) + 0.1 * empty, columns

    return min(range(1, count + 1), key=badness)


def _details(info: VideoInfo, count: int) -> str:
    parts = [
        f"{info.width} x {info.height}",
        f"{info.duration:.2f} s",
        f"{info.fps:.4g} fps",
        info.codec,
        f"{count} of {info.total_frames} frames",
    ]
    return "  ·  ".join(_drawable(part) for part in parts if part)


def _decimals(timestamps: tuple[float, ...]) -> int:
    """Two, or three when frames lie so close together that two would show them as one moment."""
    shown = {f"{timestamp:.2f}" for timestamp in timestamps}
    return 2 if len(shown) == len(timestamps) else 3


def _clock(seconds: float, decimals: int) -> str:
    """Seconds as a player's clock: 7.50 s, 2:07.50, 1:02:07.50."""
    units = round(seconds * 10**decimals)
    minutes, rest = divmod(units, 60 * 10**decimals)
    tail = rest / 10**decimals
    if minutes <= 0:
        return f"{seconds:.{decimals}f} s"
    hours, minutes = divmod(minutes, 60)
    padded = f"{tail:0{decimals + 3}.{decimals}f}"
    return f"{hours}:{minutes:02}:{padded}" if hours else f"{minutes}:{padded}"


def _drawable(text: str) -> str:
    """The font that comes with Pillow draws ASCII and `·` alone: é becomes e, and what has no likeness a ?."""
    folded = (
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(letter)  # the accent that NFKD has put behind its letter
    )
    return "".join(letter if letter == "·" or " " <= letter <= "~" else "?" for letter in folded)


def _cut(text: str, font: _Font, width: int) -> str:
    """The text with its middle left out, so that both the beginning and the extension stay."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        cut = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if font.getlength(cut) <= width:
            return cut
    return "…"


def _font(size: int) -> _Font:
    return ImageFont.load_default(size=size)
