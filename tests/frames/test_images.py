from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.frames.videos import numbered, write_frames
from tests.serve import serve
from video_tool.errors import DecodeError, QuestionError, SourceNotFoundError
from video_tool.frames import read_image
from video_tool.settings import Settings

SETTINGS = Settings(allowed_hosts=("127.0.0.1",))
PIXELS = np.zeros((32, 64, 3), np.uint8)
PIXELS[:16, :32] = (255, 0, 0)  # the upper left quarter is red


def encoded(kind: str, **options: Any) -> bytes:
    content = BytesIO()
    Image.fromarray(PIXELS).save(content, kind, **options)
    return content.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_every_way_to_give_an_image_gives_the_same_pixels(tmp_path: Path) -> None:
    content = encoded("PNG")
    path = tmp_path / "red.png"
    path.write_bytes(content)
    with serve() as site, path.open("rb") as opened:
        url = site.put("/red.png", content, content_type="image/png")
        ways = [path, str(path), content, opened, BytesIO(content), url, PIXELS, Image.fromarray(PIXELS)]
        for way in ways:
            image = read_image(way, SETTINGS)
            assert image.mode == "RGB"
            assert np.array_equal(np.asarray(image), PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "GIF"])
def test_other_kinds(kind: str) -> None:
    image = read_image(encoded(kind), SETTINGS)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - PIXELS)[4:12, 4:28].max() < 12


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, -1), (3, 2), (8, 1)])
def test_a_photo_is_put_upright(orientation: int, turns: int) -> None:
    content = encoded("JPEG", exif=turned(orientation), quality=95)
    upright = np.rot90(PIXELS, turns)[..., 0] > 127
    for given in (content, Image.open(BytesIO(content))):
        assert np.array_equal(np.asarray(read_image(given, SETTINGS))[..., 0] > 127, upright)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = read_image(Image.fromarray(PIXELS).convert(mode), SETTINGS)
    assert image.mode == "RGB"
    assert image.size == (64, 32)


@pytest.mark.parametrize(
    "array",
    [PIXELS[..., 0], PIXELS[None], PIXELS.astype(np.float32), np.zeros((32, 64, 4), np.uint8)],
    ids=["grey", "four dimensions", "floats", "RGBA"],
)
def test_arrays_that_are_no_image_are_refused(array: np.ndarray) -> None:
    with pytest.raises(QuestionError) as caught:
        read_image(array, SETTINGS)
    assert "uint8" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not an image", encoded("PNG")[:60], encoded("JPEG")[:200]])
def test_what_is_no_image_is_a_typed_error(content: bytes) -> None:
    with pytest.raises(DecodeError, match="bytes can't be read as an image") as caught:
        read_image(content, SETTINGS)
    assert caught.value.hint


def test_a_video_among_the_images_is_told_where_it_goes(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(5))
    with pytest.raises(DecodeError, match=r"a\.mp4") as caught:
        read_image(path, SETTINGS)
    assert "videos=[…]" in caught.value.hint


def test_more_pixels_than_pillow_allows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DecodeError, match="DecompressionBomb"):
        read_image(encoded("PNG"), SETTINGS)


@pytest.mark.skipif(os.name == "nt", reason="a script stands for the program")
def test_no_program_is_started_for_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(DecodeError):
        read_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n", SETTINGS)
    assert not (tmp_path / "started").exists()


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png", SETTINGS)
