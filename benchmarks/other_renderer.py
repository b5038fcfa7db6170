"""A second renderer of one-shape videos, written from the description of the videos alone.

It shares no code, colour table or drawing method with the project's own renderer, so that a score on its
videos says how a model does on videos that another program drew. Lengths are in pixels and times in seconds
unless a name or docstring says otherwise.
"""

import colorsys
import math
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

Rgb = tuple[int, int, int]
Render = Callable[[int], Image.Image]  # draws the frame of an index

SHAPES = ("circle", "square", "triangle")
MOTIONS = ("left", "right", "up", "down", "growing", "shrinking", "still", "blinking")
COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "firebrick", "#ef4444", "#dc2626", "#b91c1c", "#f44336"),
    "green": ("green", "lime", "limegreen", "forestgreen", "mediumseagreen", "#22c55e", "#16a34a", "#4caf50"),
    "blue": ("blue", "royalblue", "dodgerblue", "mediumblue", "#3b82f6", "#2563eb", "#1d4ed8", "#2196f3"),
    "yellow": ("yellow", "gold", "#facc15", "#fde047", "#eab308", "#ffeb3b"),
    "purple": ("purple", "rebeccapurple", "darkviolet", "darkorchid", "blueviolet", "#a855f7", "#9333ea", "#9c27b0"),
    "white": ("white", "snow", "whitesmoke", "ghostwhite", "#f8fafc", "#f3f4f6"),
}
SMALLEST, LARGEST = 0.12, 0.40  # the shape's width, as a share of the frame's shorter side
OVERSAMPLING = 4
MOST_FRAMES = 300  # for nine in ten of the videos that would otherwise be longer
GIF_RATES = (10, 20, 25, 50)  # frames per second that are whole hundredths of a second apart, as GIF needs
RATES = (8, 10, 12, 15, 20, 24, 25, Fraction(30000, 1001), 30, 48, 50, 60)
SUFFIXES = {"libx264": ".mp4", "libvpx-vp9": ".webm", "gif": ".gif"}
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclass(frozen=True)
class OtherClip:
    """What a video shows: the shape, its colour, and one motion for the whole or one for each half (words)."""

    shape: str
    colour: str
    motions: tuple[str, ...]


@dataclass(frozen=True)
class _Canvas:
    """A video's container and frame: codec name, width and height in pixels, frames per second, frame count."""

    codec: str
    width: int
    height: int
    rate: Fraction
    total: int


def write_random_video(
    rng: np.random.Generator,
    folder: pathlib.Path,
    name: str,
    num_frames: int,
    motions: tuple[str, ...] | None = None,
) -> tuple[pathlib.Path, OtherClip]:
    """Write a random video to folder/name.{mp4,webm,gif}; return its path and what it shows.

    `num_frames` (4 or more) is how many frames the reader will sample, at indices i * total // num_frames.
    A blink that falls between the sampled frames can't be seen by anyone, so a blink's period and phase are
    drawn until the sampled frames of its stretch hold the shape both visible and hidden.
    """
    if num_frames < 4:
        raise ValueError("num_frames must be 4 or more: a blink in one half needs two sampled frames there")
    if motions is None:
        count = int(rng.integers(1, 3))
        motions = tuple(str(word) for word in rng.choice(MOTIONS, size=count, replace=False))
    if len(motions) not in (1, 2) or len(set(motions)) != len(motions) or not set(motions) <= set(MOTIONS):
        raise ValueError(f"motions must be one, or two that differ, of {MOTIONS}; got {motions}")
    clip = OtherClip(str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS))), motions)
    rgb = _rgb(str(rng.choice(COLOURS[clip.colour])))
    canvas = _random_canvas(rng)
    places = _places(rng, canvas, motions)
    shown = _shown(rng, canvas, motions, num_frames)
    ground = Image.fromarray(_background(rng, canvas, rgb))
    smooth = bool(rng.random() < 0.6)
    noise = _noise_pool(rng, canvas)

    def render(index: int) -> Image.Image:
        image = ground.copy()
        if shown[index]:
            _draw(image, clip.shape, rgb, places[index], smooth)
        pixels = np.asarray(image, np.int16)
        offset = int(rng.integers(noise.size - pixels.size))
        grain = noise[offset : offset + pixels.size].reshape(pixels.shape)
        return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))

    path = folder / (name + SUFFIXES[canvas.codec])
    _encode(rng, path, canvas, render, reference=int(np.argmax(shown)))
    return path, clip


def _rgb(name: str) -> Rgb:
    """The red, green and blue (0 to 255) of a CSS colour name or hex code."""
    red, green, blue = ImageColor.getrgb(name)[:3]
    return red, green, blue


def _random_canvas(rng: np.random.Generator) -> _Canvas:
    """A random codec, frame size, frame rate and length (1 to 20 s)."""
    codec = str(rng.choice(["libx264", "libvpx-vp9", "gif"], p=[0.6, 0.25, 0.15]))
    large = bool(rng.random() < 0.04)
    short = rng.uniform(300, 540) if large else 64 * (240 / 64) ** rng.random()
    ratio = float(rng.choice([1, 4 / 3, 3 / 2, 16 / 9, 2])) if rng.random() < 0.5 else 2 ** rng.random()
    step = 2 if codec == "libx264" or rng.random() < 0.6 else 1  # 4:2:0 H.264 needs even sides
    low = max(64, round(short / step) * step)
    high = min(round(low * ratio / step) * step, 2 * low)
    width, height = (high, low) if rng.random() < 0.5 else (low, high)
    rate = Fraction(GIF_RATES[rng.integers(len(GIF_RATES))] if codec == "gif" else RATES[rng.integers(len(RATES))])
    total = round(20 ** rng.random() * rate)
    if large or rng.random() < 0.9:
        total = min(total, 120 if large else MOST_FRAMES)
    return _Canvas(codec, width, height, rate, max(total, math.ceil(rate)))


def _stretches(total: int, count: int) -> list[tuple[int, int]]:
    """The frame ranges [start, stop) of `count` (1 or 2) motions."""
    return [(0, total)] if count == 1 else [(0, total // 2), (total // 2, total)]


def _places(rng: np.random.Generator, canvas: _Canvas, motions: tuple[str, ...]) -> NDArray[np.float64]:
    """Each frame's centre x, centre y and width of the shape (pixels), as an array (total, 3).

    The places at the ends of the stretches are drawn until the shape fits inside the frame at all of them.
    """
    frame = np.array([canvas.width, canvas.height], float)
    while True:
        width = frame.min() * rng.uniform(SMALLEST, LARGEST)
        keys = np.array([[0.0, 0.0, width]])
        for motion in motions:
            dx, dy = np.array(DIRECTIONS.get(motion, (0, 0))) * frame * rng.uniform(0.2, 0.7)
            factor = rng.uniform(1.5, LARGEST / SMALLEST)
            scale = {"growing": factor, "shrinking": 1 / factor}.get(motion, 1.0)
            keys = np.vstack([keys, [keys[-1, 0] + dx, keys[-1, 1] + dy, keys[-1, 2] * scale]])
        sizes = keys[:, 2] / frame.min()
        first = np.max(keys[:, 2:] / 2 - keys[:, :2], axis=0) + 1  # the start centres that keep it inside
        last = np.min(frame - keys[:, 2:] / 2 - keys[:, :2], axis=0) - 1
        if sizes.min() >= SMALLEST and sizes.max() <= LARGEST and np.all(first <= last):
            break
    keys[:, :2] += rng.uniform(first, last)
    eased = bool(rng.random() < 0.3)
    places = np.empty((canvas.total, 3))
    for part, (start, stop) in enumerate(_stretches(canvas.total, len(motions))):
        progress = np.linspace(0.0, 1.0, stop - start)[:, None]
        if eased:
            progress = progress**2 * (3 - 2 * progress)
        places[start:stop] = keys[part] + progress * (keys[part + 1] - keys[part])
    return places


def _shown(rng: np.random.Generator, canvas: _Canvas, motions: tuple[str, ...], num_frames: int) -> NDArray[np.bool_]:
    """Whether the shape is visible in each frame, blinking so that the sampled frames hold both states."""
    total = canvas.total
    shown = np.ones(total, bool)
    sampled = np.unique(np.arange(num_frames) * total // num_frames)
    for motion, (start, stop) in zip(motions, _stretches(total, len(motions)), strict=True):
        if motion != "blinking":
            continue
        seconds = np.arange(stop - start) / float(canvas.rate)
        caught = sampled[(sampled >= start) & (sampled < stop)]
        shortest = max(0.2, 2 / float(canvas.rate))  # two frames or more, so that both states can be drawn
        longest = max(shortest, min(2.5, (stop - start) / float(canvas.rate)))
        for _ in range(1000):
            period = rng.uniform(shortest, longest)
            shown[start:stop] = (seconds / period + rng.random()) % 1 < rng.uniform(0.4, 0.6)
            # blinking all the time has to show in both halves: else it is blinking in one half alone
            parts = [caught] if len(motions) == 2 else [caught[caught < total // 2], caught[caught >= total // 2]]
            if all(shown[part].any() and not shown[part].all() for part in parts):
                break
        else:
            raise ValueError(f"no blink is visible in the sampled frames {caught.tolist()}")
    return shown


def _background(rng: np.random.Generator, canvas: _Canvas, rgb: Rgb) -> NDArray[np.uint8]:
    """A plain, linear or radial background of any hue, clearly darker than the shape's colour `rgb`."""
    shape, luma = np.array(rgb, float), np.array([0.299, 0.587, 0.114])
    hue, saturation, value = rng.random(), rng.uniform(0, 0.9), rng.uniform(0.05, 0.5)
    near = np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255
    near *= min(1.0, 0.55 * shape.max() / near.max(), 0.6 * (shape @ luma) / (near @ luma))
    far = near * rng.uniform(0.4, 0.9)
    y, x = np.mgrid[0 : canvas.height, 0 : canvas.width]
    x, y = x / (canvas.width - 1), y / (canvas.height - 1)
    kind = str(rng.choice(["plain", "vertical", "linear", "radial"]))
    if kind == "radial":
        mix = np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.3, 0.7))
    else:
        angle = np.pi / 2 if kind == "vertical" else rng.uniform(0, 2 * np.pi)
        mix = x * np.cos(angle) + y * np.sin(angle)
    mix = np.zeros_like(mix) if kind == "plain" else (mix - mix.min()) / np.ptp(mix)
    ground: NDArray[np.uint8] = np.rint(near + mix[:, :, None] * (far - near)).astype(np.uint8)
    return ground


def _noise_pool(rng: np.random.Generator, canvas: _Canvas) -> NDArray[np.int16]:
    """Gaussian noise (levels of 255) for four frames; each frame takes a stretch of it at a random offset."""
    pixels = canvas.width * canvas.height * 4
    grey = bool(rng.random() < 0.4)
    noise = rng.standard_normal((pixels, 1 if grey else 3), np.float32) * rng.uniform(1, 8)
    return np.rint(np.broadcast_to(noise, (pixels, 3))).astype(np.int16).ravel()


def _draw(image: Image.Image, shape: str, rgb: Rgb, place: NDArray[np.float64], smooth: bool) -> None:
    """Draw the shape at `place` (centre x, centre y, width; pixels): oversampled, or on whole pixels."""
    x, y, width = (float(number) for number in place)
    if not smooth:
        size = round(width)
        _outline(ImageDraw.Draw(image), shape, rgb, round(x - size / 2), round(y - size / 2), size)
        return
    left, top, side = int(x - width / 2), int(y - width / 2), int(width) + 2
    mask = Image.new("L", (side * OVERSAMPLING, side * OVERSAMPLING))
    inner = round((x - width / 2 - left) * OVERSAMPLING), round((y - width / 2 - top) * OVERSAMPLING)
    _outline(ImageDraw.Draw(mask), shape, 255, *inner, round(width * OVERSAMPLING))
    image.paste(rgb, (left, top), mask.reduce(OVERSAMPLING))


def _outline(draw: ImageDraw.ImageDraw, shape: str, fill: Rgb | int, left: int, top: int, size: int) -> None:
    """Fill a shape `size` pixels wide whose box has its corner at (left, top)."""
    right, bottom = left + size - 1, top + size - 1
    if shape == "circle":
        draw.ellipse((left, top, right, bottom), fill=fill)
    elif shape == "square":
        draw.rectangle((left, top, right, bottom), fill=fill)
    else:  # equilateral, centred in its box
        rise = round(size * 0.067)
        draw.polygon([((left + right) / 2, top + rise), (left, bottom - rise), (right, bottom - rise)], fill=fill)


def _encode(rng: np.random.Generator, path: pathlib.Path, canvas: _Canvas, render: Render, reference: int) -> None:
    """Encode the frames that `render` draws; a GIF's palette is made from frame `reference`."""
    options: dict[str, str] = {}
    pix_fmt = "yuv420p"
    if canvas.codec == "libx264":
        options = {"crf": str(rng.integers(18, 33)), "preset": str(rng.choice(["superfast", "veryfast", "medium"]))}
    elif canvas.codec == "libvpx-vp9":
        options = {"crf": str(rng.integers(20, 41)), "b": "0", "deadline": "realtime", "cpu-used": "7"}
    else:  # a palette of its own, or else FFmpeg's fixed 256 colours
        pix_fmt = str(rng.choice(["pal8", "bgr8"], p=[0.7, 0.3]))
    palette = render(reference).quantize(256)
    argb = np.full((256, 4), 255, np.uint8)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    argb[: len(colours), 1:] = colours
    dither = Image.Dither.FLOYDSTEINBERG if rng.random() < 0.5 else Image.Dither.NONE
    with av.open(str(path), "w") as container:
        stream = container.add_stream(canvas.codec, rate=canvas.rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = canvas.width, canvas.height, pix_fmt
        stream.codec_context.thread_count = 1
        for image in map(render, range(canvas.total)):
            if pix_fmt == "pal8":
                indices = np.asarray(image.quantize(palette=palette, dither=dither), np.uint8)
                frame = av.VideoFrame.from_ndarray((indices, argb), "pal8")  # type: ignore[arg-type]  # the stubs know no palettes
            else:
                frame = av.VideoFrame.from_ndarray(np.asarray(image), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
