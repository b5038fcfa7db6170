"""Videos that show none of the shapes: what the built-in model must not see a shape in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw


def negative_frames(rng: np.random.Generator, count: int, width: int, height: int) -> NDArray[np.uint8]:
    """`count` frames (count, height, width, 3) of texture, clutter, stripes or nothing."""
    draw = (_texture, _clutter, _stripes, _scene, _plain)[int(rng.choice(5, p=[0.3, 0.25, 0.15, 0.15, 0.15]))]
    canvas = draw(rng, width * 2, height * 2)
    step = rng.integers(-6, 7, 2) if rng.random() < 0.6 else np.zeros(2, int)
    at = np.array([height // 2, width // 2])
    frames = []
    for _ in range(count):
        top, left = np.clip(at, 0, [height, width])
        frames.append(canvas[top : top + height, left : left + width])
        at = at + step
    out = np.stack(frames).astype(np.float32)
    if rng.random() < 0.5:
        out += rng.normal(0, rng.uniform(1, 12), out.shape)
    return np.clip(out, 0, 255).astype(np.uint8)


def _octaves(rng: np.random.Generator, width: int, height: int, channels: int) -> NDArray[np.float32]:
    total = np.zeros((height, width, channels), np.float32)
    coarse = int(rng.integers(2, 6))
    for octave in range(int(rng.integers(2, 6))):
        cells = coarse * 2**octave
        sheet = rng.normal(0, 1, (cells, cells, channels))
        total += (
            np.stack(
                [
                    np.asarray(Image.fromarray(sheet[..., c].astype(np.float32)).resize((width, height), 3))
                    for c in range(channels)
                ],
                -1,
            )
            * float(rng.uniform(0.3, 0.8)) ** octave
        )
    return total


def _texture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    grey = rng.random() < 0.3
    sheet = _octaves(rng, width, height, 1 if grey else 3)
    sheet = (sheet - sheet.mean()) / (sheet.std() + 1e-6) * rng.uniform(15, 70) + rng.uniform(40, 200)
    return np.clip(np.broadcast_to(sheet, (height, width, 3)), 0, 255).astype(np.uint8)


def _plain(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    first, second = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    if rng.random() < 0.5:
        second = first
    if rng.random() < 0.5:
        first, second = first // 3, second // 3
    blend = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    return np.broadcast_to(first * (1 - blend) + second * blend, (height, width, 3)).astype(np.uint8)


def _stripes(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.04, 0.4) * min(width, height)
    wave = (columns * np.cos(angle) + rows * np.sin(angle)) / period
    if rng.random() < 0.5:
        wave = np.floor(wave) + np.floor((rows * np.cos(angle) - columns * np.sin(angle)) / period)
    on = (np.floor(wave) % 2)[..., None]
    return (rng.integers(0, 256, 3) * on + rng.integers(0, 256, 3) * (1 - on)).astype(np.uint8)


def _clutter(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    image = Image.fromarray(_plain(rng, width, height))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(25, 90))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.03, 0.4, 2) * min(width, height)
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        kind = rng.integers(4)
        if kind == 0:
            pen.ellipse((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=fill)
        elif kind == 1:
            pen.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=fill)
        elif kind == 2:
            pen.polygon(
                [(x + w * a, y + h * b) for a, b in rng.normal(0, 0.7, (int(rng.integers(3, 7)), 2))], fill=fill
            )
        else:
            pen.line((x, y, x + w * 2 - h, y + h), fill=fill, width=int(rng.integers(1, 5)))
    return np.asarray(image)


def _scene(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Something like a landscape: bands and soft blocks under a texture."""
    image = _texture(rng, width, height).astype(np.float32) * 0.3
    for _ in range(int(rng.integers(3, 8))):
        top, left = int(rng.uniform(0, height * 0.8)), int(rng.uniform(-0.3, 0.8) * width)
        bottom, right = top + int(rng.uniform(0.2, 1) * height), left + int(rng.uniform(0.3, 1.5) * width)
        image[top:bottom, max(left, 0) : right] += rng.uniform(-90, 140, 3)
    return np.clip(image, 0, 255).astype(np.uint8)
