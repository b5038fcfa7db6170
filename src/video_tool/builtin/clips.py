"""Clips of one moving shape: what the built-in model understands, as data and as pixels.

A `Clip` says what is to be seen; `render` draws any moments of it; `write_video` makes a file
of it. Lengths are fractions: of the frame's width (x), of its height (y), of its shorter side
(sizes). Times are fractions of the whole clip, in [0, 1).
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SHAPES: Final = ("circle", "square", "triangle")
COLOURS: Final = ("red", "green", "blue", "yellow", "purple", "white")
MOTIONS: Final = ("left", "right", "up", "down", "growing", "shrinking", "still", "blinking")
OPPOSITES: Final = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "growing": "shrinking",
    "shrinking": "growing",
}
"""What each of these motions becomes when the frames are reversed."""

SMALLEST, LARGEST = 0.12, 0.40
"""Sizes of a shape, as fractions of the frame's shorter side."""
SHORTEST_WAY = 0.20
"""How far a moving shape goes at least, as a fraction of the frame."""
LEAST_GROWTH = 1.5
"""By which factor a growing or shrinking shape changes at least."""

# (hue range in degrees, saturation range, value range)
_PALETTE: Final[dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]] = {
    "red": ((-10, 8), (0.75, 1.0), (0.65, 1.0)),
    "green": ((95, 150), (0.6, 1.0), (0.5, 1.0)),
    "blue": ((208, 246), (0.65, 1.0), (0.6, 1.0)),
    "yellow": ((47, 64), (0.65, 1.0), (0.75, 1.0)),
    "purple": ((268, 308), (0.5, 1.0), (0.5, 1.0)),
    "white": ((0, 360), (0.0, 0.07), (0.86, 1.0)),
}
_STEPS: Final = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclass(frozen=True)
class Leg:
    """One stretch of a clip in which the shape does one thing.

    Positions and sizes go from `start` to `end`, both (x, y, size) as fractions.
    """

    motion: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    easing: float
    blinks: float
    phase: float
    duty: float


@dataclass(frozen=True)
class Look:
    """How a clip is drawn: everything that does not change what it shows."""

    rgb: tuple[float, float, float]
    backgrounds: tuple[tuple[float, float, float], tuple[float, float, float]]
    gradient: str
    gradient_angle: float
    edge: float
    blur: float
    noise: float
    wobble: float
    triangle_height: float
    shading: float
    seed: int


@dataclass(frozen=True)
class Clip:
    """One solid shape on a darker background, doing one thing or one thing in each half.

    `width` and `height` are pixels. `shape` None is a clip of the background alone.
    """

    shape: str | None
    colour: str
    legs: tuple[Leg, ...]
    width: int
    height: int
    look: Look

    @property
    def motions(self) -> tuple[str, ...]:
        return tuple(leg.motion for leg in self.legs)

    def shows_its_motions(self, times: NDArray[np.float64]) -> bool:
        """Whether these moments of the clip tell its motions.

        A blink must be caught both ways, and one that goes on all the time in both halves: caught in one
        half alone, it can't be told from blinking in that half.
        """
        _, _, _, visible = tracks(self, times)
        half = np.minimum((times * 2).astype(np.int64), 1)
        for number, motion in enumerate(self.motions * (3 - len(self.motions))):
            seen = visible[half == number]
            if not seen.any() or (motion == "blinking" and seen.all()):
                return False
        return True


def random_clip(
    rng: np.random.Generator,
    *,
    width: int,
    height: int,
    shape: str | None = None,
    colour: str | None = None,
    motions: tuple[str, ...] | None = None,
) -> Clip:
    """A clip with everything that is not given chosen at random.

    Args:
        rng: where the randomness comes from.
        width: pixels, 64 or more.
        height: pixels, 64 or more; the aspect ratio is best between 1:2 and 2:1.
        shape: one of `SHAPES`.
        colour: one of `COLOURS`.
        motions: one of `MOTIONS`, or two different ones (one in each half).
    """
    if motions is None:
        count = 1 + int(rng.random() < 0.5)
        motions = tuple(str(m) for m in rng.permutation(MOTIONS)[:count])
    colour = colour or str(rng.choice(COLOURS))
    shape = shape or str(rng.choice(SHAPES))
    look = _random_look(rng, colour)
    while True:
        legs = _random_legs(rng, motions, width, height)
        if legs:
            return Clip(shape, colour, legs, width, height, look)


def tracks(
    clip: Clip, times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Where the shape is at each of `times`: x, y, size (fractions) and whether it is visible."""
    which = _leg_of(clip, times)
    x, y, size = (np.empty(len(times)) for _ in range(3))
    visible = np.ones(len(times), bool)
    for number, leg in enumerate(clip.legs):
        here = which == number
        progress = np.clip(times[here] * len(clip.legs) - number, 0, 1)
        smooth = progress * progress * (3 - 2 * progress)
        way = (1 - leg.easing) * progress + leg.easing * smooth
        for track, start, end in zip((x, y, size), leg.start, leg.end, strict=True):
            track[here] = start + (end - start) * way
        if leg.motion == "blinking":
            visible[here] = (progress * leg.blinks + leg.phase) % 1.0 < leg.duty
    if clip.shape is None:
        visible[:] = False
    return x, y, size, visible


def render(clip: Clip, times: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The clip's frames at `times`, as (frames, height, width, 3) RGB bytes."""
    rng = np.random.default_rng(clip.look.seed)
    x, y, size, visible = tracks(clip, times)
    look, short = clip.look, min(clip.width, clip.height)
    background = _background(clip)
    wobble = rng.normal(0, look.wobble, (len(times), 2)) if look.wobble else np.zeros((len(times), 2))
    # one sheet of noise, cut at another place for each frame: as good as fresh, and far cheaper
    sheet = rng.normal(0, look.noise, (clip.height + 64, clip.width + 64, 3)).astype(np.float32) if look.noise else None
    colour = np.asarray(look.rgb, np.float32)
    drawn = np.empty((len(times), clip.height, clip.width, 3), np.uint8)
    # one by one: a minute of them in floating point would fill the memory
    for index in range(len(times)):
        frame = background.copy()
        if visible[index]:
            centre = ((x[index] + wobble[index, 0]) * clip.width, (y[index] + wobble[index, 1]) * clip.height)
            _draw(frame, clip, centre, size[index] * short, colour)
        if look.blur:
            frame = _blur(frame, look.blur)
        if sheet is not None:
            top, left = rng.integers(0, 64, 2)
            frame += sheet[top : top + clip.height, left : left + clip.width]
        drawn[index] = (np.clip(frame, 0, 1) * 255 + 0.5).astype(np.uint8)
    return drawn


def write_video(
    path: Path, frames: NDArray[np.uint8], *, fps: float, codec: str = "libx264", options: dict[str, str] | None = None
) -> None:
    """Writes (frames, height, width, 3) RGB bytes to a video file; its name says the container.

    Args:
        path: where to; an existing file is replaced.
        frames: at least one frame; odd sizes are cut to even ones where the codec needs it.
        fps: frames per second.
        codec: FFmpeg's name of the encoder: `libx264`, `libvpx-vp9`, `gif`, …
        options: the encoder's own options, such as `{"crf": "23"}`.
    """
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000), options=options or {})
        if codec == "gif":
            stream.pix_fmt = "rgb8"
        else:
            stream.pix_fmt = "yuv420p"
            frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
        stream.height, stream.width = frames.shape[1:3]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def _leg_of(clip: Clip, times: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((times * len(clip.legs)).astype(np.int64), len(clip.legs) - 1)


def _random_look(rng: np.random.Generator, colour: str) -> Look:
    hues, saturations, values = _PALETTE[colour]
    rgb = colorsys.hsv_to_rgb(rng.uniform(*hues) / 360 % 1, rng.uniform(*saturations), rng.uniform(*values))
    while True:
        hue, value = rng.random(), rng.uniform(0, 0.5) * max(rgb)
        saturation = rng.uniform(0, 1) if rng.random() < 0.8 else 0.0
        first = colorsys.hsv_to_rgb(hue, saturation, value)
        turn = rng.normal(0, 0.06)
        second = colorsys.hsv_to_rgb(
            (hue + turn) % 1, float(np.clip(saturation + rng.normal(0, 0.1), 0, 1)), value * rng.uniform(0.4, 1.3)
        )
        if min(float(np.linalg.norm(np.subtract(rgb, other))) for other in (first, second)) > 0.35:
            break
    return Look(
        rgb=rgb,
        backgrounds=(first, second),
        gradient=str(rng.choice(["plain", "linear", "radial"])),
        gradient_angle=rng.uniform(0, 2 * np.pi),
        edge=float(rng.choice([0.05, 1.0, 1.5])),
        blur=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.3 else 0.0,
        noise=float(rng.uniform(0.002, 0.035)) if rng.random() < 0.75 else 0.0,
        wobble=float(rng.uniform(0, 0.003)) if rng.random() < 0.3 else 0.0,
        triangle_height=float(rng.uniform(0.84, 1.0)),
        shading=float(rng.uniform(0, 0.1)) if rng.random() < 0.3 else 0.0,
        seed=int(rng.integers(2**31)),
    )


def _random_legs(rng: np.random.Generator, motions: tuple[str, ...], width: int, height: int) -> tuple[Leg, ...] | None:
    short = min(width, height)
    size = rng.uniform(SMALLEST, LARGEST)
    state = (rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95), float(size))
    legs = []
    for motion in motions:
        x, y, size = state
        if motion in _STEPS:
            way = SHORTEST_WAY + rng.uniform(0.02, 0.6)
            side = rng.normal(0, 0.01) if rng.random() < 0.3 else 0.0
            step_x, step_y = _STEPS[motion]
            end = (x + step_x * way + side * step_y, y + step_y * way + side * step_x, size)
        elif motion in ("growing", "shrinking"):
            factor = rng.uniform(LEAST_GROWTH, LARGEST / SMALLEST)
            end = (x, y, size * factor if motion == "growing" else size / factor)
        else:
            end = state
        for at_x, at_y, at_size in (state, end):
            half_x, half_y = at_size * short / width / 2, at_size * short / height / 2
            inside = half_x <= at_x <= 1 - half_x and half_y <= at_y <= 1 - half_y
            if not inside or not SMALLEST <= at_size <= LARGEST:
                return None
        legs.append(
            Leg(
                motion,
                state,
                end,
                easing=float(rng.random()) if rng.random() < 0.4 else 0.0,
                blinks=float(rng.uniform(1.2, 12 / len(motions))),
                phase=float(rng.random()),
                duty=float(rng.uniform(0.35, 0.65)),
            )
        )
        state = end
    return tuple(legs)


def _background(clip: Clip) -> NDArray[np.float32]:
    first, second = (np.asarray(c, np.float32) for c in clip.look.backgrounds)
    if clip.look.gradient == "plain":
        return np.broadcast_to(first, (clip.height, clip.width, 3)).copy()
    rows, columns = np.mgrid[0 : clip.height, 0 : clip.width].astype(np.float32)
    u, v = columns / clip.width - 0.5, rows / clip.height - 0.5
    if clip.look.gradient == "linear":
        blend = 0.5 + u * np.cos(clip.look.gradient_angle) * 0.7 + v * np.sin(clip.look.gradient_angle) * 0.7
    else:
        blend = np.hypot(u, v) * 1.4
    blend = np.clip(blend, 0, 1)[..., None].astype(np.float32)
    return first * (1 - blend) + second * blend


def _draw(
    frame: NDArray[np.float32], clip: Clip, centre: tuple[float, float], size: float, colour: NDArray[np.float32]
) -> None:
    """Draws the shape into the frame: distances to its outline, blended over one edge's width."""
    reach = size / 2 + 2
    top, bottom = (int(np.clip(centre[1] + d, 0, clip.height)) for d in (-reach, reach + 1))
    left, right = (int(np.clip(centre[0] + d, 0, clip.width)) for d in (-reach, reach + 1))
    if top >= bottom or left >= right:
        return
    v = (np.arange(top, bottom, dtype=np.float32) + 0.5 - centre[1])[:, None]
    u = (np.arange(left, right, dtype=np.float32) + 0.5 - centre[0])[None]
    if clip.shape == "circle":
        outside = np.hypot(u, v) - size / 2
    elif clip.shape == "square":
        outside = np.maximum(np.abs(u), np.abs(v)) - size / 2
    else:
        tall = size * clip.look.triangle_height
        slant = np.hypot(tall, size / 2)
        outside = np.maximum(v - tall / 2, (np.abs(u) * tall - (v + tall / 2) * size / 2) / slant)
    cover = np.clip(0.5 - outside / clip.look.edge, 0, 1)[..., None]
    shade = 1 - clip.look.shading * np.clip(v / size + 0.5, 0, 1)[..., None]
    patch = frame[top:bottom, left:right]
    patch += cover * (colour * shade - patch)


def _blur(frame: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    side = np.exp(-0.5 / sigma**2)
    kernel = np.array([side, 1, side], np.float32) / (1 + 2 * side)
    for axis in (0, 1):
        padded = np.pad(frame, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        take = [np.take(padded, np.arange(k, k + frame.shape[axis]), axis=axis) for k in range(3)]
        frame = kernel[0] * take[0] + kernel[1] * take[1] + kernel[2] * take[2]
    return frame
