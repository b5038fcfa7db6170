"""Ways to get uniform frames of a video at 384 px into Python's hands, each written as its users write it.

As a program: reads paths from standard input and prints the seconds that each took.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 384
FRAMES = 12
BICUBIC = 3
"""As Pillow numbers its filters."""


def _uniform(total: int, count: int = FRAMES) -> list[int]:
    return [i * total // count for i in range(count)]


def _small(pixels: Any) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def by_decord(path: Path) -> np.ndarray:
    import decord

    video = decord.VideoReader(str(path), ctx=decord.cpu(0))
    frames = video.get_batch(_uniform(len(video))).asnumpy()
    return np.stack([_small(frame) for frame in frames])


def by_pyav(path: Path) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        wanted = set(_uniform(stream.frames))
        frames = [
            frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(container.decode(stream))
            if number in wanted
        ]
    return np.stack([_small(frame) for frame in frames])


def by_opencv(path: Path) -> np.ndarray:
    import cv2

    video = cv2.VideoCapture(str(path))
    frames = []
    for index in _uniform(int(video.get(cv2.CAP_PROP_FRAME_COUNT))):
        video.set(cv2.CAP_PROP_POS_FRAMES, index)
        frames.append(cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB))
    return np.stack([_small(frame) for frame in frames])


def by_torchcodec(path: Path) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    video = VideoDecoder(str(path), dimension_order="NHWC")
    frames = video.get_frames_at(_uniform(len(video))).data.numpy()
    return np.stack([_small(frame) for frame in frames])


def ours(path: Path, count: int = FRAMES, strategy: str = "uniform") -> np.ndarray:
    from video_tool.frames import FrameSize, read_video
    from video_tool.question import Sampling
    from video_tool.settings import Settings

    settings = Settings(frame_cache_bytes=0, decode_timeout=3600, allowed_roots=(path.parent,))
    sampling = Sampling(num_frames=count, strategy=strategy)
    return read_video(path, sampling, settings, frame_size=lambda: FrameSize(SIDE, SIDE, BICUBIC)).images


def ffmpeg_alone(path: Path, count: int = FRAMES, keyframes: bool = False) -> None:
    """Decodes what these frames need, from keyframe to frame, but for what no other rests on; keeps none of it."""
    import av

    with av.open(str(path), options={"probesize": "32", "skip_frame": "all"}) as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        decoder.thread_type = "FRAME"
        length = 1 / (stream.average_rate * stream.time_base)
        for number in _uniform(stream.frames, count):
            wanted = round(number * length)
            container.seek(wanted, stream=stream)
            for packet in container.demux(stream):
                decoder.skip_frame = "DEFAULT" if packet.pts == wanted or keyframes else "NONREF"
                decoder.decode(packet)
                if packet.pts == wanted or keyframes:
                    break
            decoder.decode(None)


def resize_seconds(path: Path) -> tuple[float, float]:
    """Of the processor, for one frame in full size: to RGB, and from there to the small size."""
    import av
    from PIL import Image

    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    times = []
    for _ in range(20):
        began = time.process_time()
        pixels = frame.to_ndarray(format="rgb24")
        between = time.process_time()
        Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        times.append((between - began, time.process_time() - between))
    converting, resizing = zip(*times, strict=True)
    return statistics.median(converting), statistics.median(resizing)


CONTENDERS: dict[str, Callable[[Path], Any]] = {
    "decord + Pillow": by_decord,
    "PyAV": by_pyav,
    "OpenCV": by_opencv,
    "torchcodec": by_torchcodec,
    "ours": ours,
    "ours, keyframes": partial(ours, strategy="keyframes"),
}
NEEDS = {"decord + Pillow": "decord", "OpenCV": "cv2", "torchcodec": "torchcodec.decoders"}
"""The modules that are not always there."""
_MORE = {
    "ours, 8 frames": partial(ours, count=8),
    "ours, 32 frames": partial(ours, count=32),
    "FFmpeg alone": ffmpeg_alone,
    "FFmpeg alone, keyframes": partial(ffmpeg_alone, keyframes=True),
    "FFmpeg alone, 32 frames": partial(ffmpeg_alone, count=32),
}


def main() -> None:
    read = (CONTENDERS | _MORE)[sys.argv[1]]
    for line in sys.stdin:
        began = time.perf_counter()
        read(Path(line.strip()))
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
