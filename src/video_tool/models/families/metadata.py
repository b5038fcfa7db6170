"""What processors are told of the frames of a video: which they are and when they are shown."""

from __future__ import annotations

from typing import Any

from video_tool.frames import Frames

_TWENTIETH = 0.05
"""Of a frame: containers round times, some to milliseconds."""


def video_metadata(video: Frames) -> dict[str, Any]:
    """The `VideoMetadata` of Transformers, as a mapping.

    Processors take a frame's time to be its number by `fps`, and the rate of the frames they get to be their count by
    `total_num_frames`, times `fps`. That holds for a steady rate, and for frames spread over the whole video. So the
    numbers here are those that the frames would have at a steady rate, with a fraction where need be, and the total is
    that of the stretch that the frames are spread over: their times come out right, whichever frames were chosen.
    """
    info = video.info
    places = [timestamp * info.fps for timestamp in video.timestamps]
    numbers = [round(place) if abs(place - round(place)) < _TWENTIETH else place for place in places]
    return {
        "total_num_frames": _stretch(numbers, info.total_frames),
        "fps": info.fps,
        "duration": info.duration,
        "frames_indices": numbers,
        "width": info.width,
        "height": info.height,
    }


def _stretch(numbers: list[int | float], total: int) -> int:
    """How many frames the chosen ones stand for: all, where they are spread over all."""
    count = len(numbers)
    if count == 1:
        return total
    step = (numbers[-1] - numbers[0]) / (count - 1)
    # frames i × total // count have such a first and last number
    if numbers[0] < 1 and step * count <= total < step * count + count / (count - 1):
        return total
    return max(count, round(step * count))
