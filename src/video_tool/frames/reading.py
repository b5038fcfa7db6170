"""From a video, however given, to the frames that a question looks at."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_tool import errors
from video_tool.answer import VideoInfo
from video_tool.errors import DecodeError, DecodeTimeoutError, NoVideoError, QuestionError
from video_tool.frames.sampling import check_sampling, select
from video_tool.progress import OnProgress, Progress, ignore_progress
from video_tool.question import FrameSequence, Sampling, VideoInput
from video_tool.settings import Settings
from video_tool.sources import SourceFile, open_source

_FIRST_READER_SHARE = 1 / 3
"""Of the time to decode: when the first reader hangs, enough is left for the second."""
_FFMPEG_ERROR = re.compile(rb"^\[[^]@]+ @ \w+\] ", re.MULTILINE)
"""How the lines begin that FFmpeg writes to standard error, such as `[h264 @ 0x55f0c8a2e040] `."""


@dataclass(frozen=True)
class Frames:
    """The frames of one video that a question looks at.

    Attributes:
        images: (frames, height, width, 3) RGB bytes.
        indices: the frames' numbers in the video, rising.
        timestamps: seconds at which they are shown.
        info: the video that they are from.
        warnings: what the user should know about the choice.
        fetch_seconds: how long it took to get the file.
        decode_seconds: how long it took to read the frames.
    """

    images: NDArray[np.uint8] = field(repr=False)
    indices: tuple[int, ...]
    timestamps: tuple[float, ...]
    info: VideoInfo
    warnings: tuple[str, ...] = ()
    fetch_seconds: float = 0.0
    decode_seconds: float = 0.0


def read_video(
    video: VideoInput, sampling: Sampling, settings: Settings, on_progress: OnProgress = ignore_progress
) -> Frames:
    """The sampled frames of a video, however it is given.

    Raises:
        QuestionError: the sampling makes no sense, or not for this video.
        SourceError: the video can't be had.
        NoVideoError: it holds no video.
        DecodeTimeoutError: reading took longer than `settings.decode_timeout` seconds.
        DecodeError: no reader gets the frames out of it.
    """
    check_sampling(sampling, settings)
    if isinstance(video, FrameSequence):
        return _take_frames(video, sampling, settings)
    _refuse_bare_frames(video)
    asked = time.perf_counter()
    with open_source(video, settings, on_progress) as file:
        fetched = time.perf_counter()
        frames = _read_file(file, sampling, settings, on_progress)
    return replace(frames, fetch_seconds=fetched - asked, decode_seconds=time.perf_counter() - fetched)


def probe_video(video: VideoInput, settings: Settings, on_progress: OnProgress = ignore_progress) -> VideoInfo:
    """What is known of a video without looking at its frames. Raises as `read_video` does."""
    if isinstance(video, FrameSequence):
        return _take_frames(video, Sampling(), settings).info
    _refuse_bare_frames(video)
    with open_source(video, settings, on_progress) as file:
        return _probe_file(file, settings)


def _read_file(
    file: SourceFile, sampling: Sampling, settings: Settings, on_progress: OnProgress = ignore_progress
) -> Frames:
    on_progress(Progress("decode", file.name, 0, None, "frames"))
    header, body, reader = _decode(file, sampling, settings)
    images = np.frombuffer(body, np.uint8).reshape(header["shape"])
    metadata = header["metadata"]
    on_progress(Progress("decode", file.name, len(images), len(images), "frames"))
    return Frames(
        images,
        tuple(header["indices"]),
        tuple(metadata["timestamps"][index] for index in header["indices"]),
        _info(file, header, reader),
        (*file.warnings, *header["shortcomings"], *header["warnings"]),
    )


def _probe_file(file: SourceFile, settings: Settings) -> VideoInfo:
    header, _, reader = _decode(file, None, settings)
    return _info(file, header, reader)


def _take_frames(given: FrameSequence, sampling: Sampling, settings: Settings) -> Frames:
    """The sampled ones of frames that are decoded already."""
    from PIL.Image import Image

    arrays = [np.asarray(frame.convert("RGB") if isinstance(frame, Image) else frame) for frame in given.frames]
    if not arrays:
        raise QuestionError(f"{given.name} holds no frames", hint="Give at least one frame.")
    shapes = {array.shape for array in arrays}
    dtypes = {array.dtype for array in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 3 or arrays[0].shape[2] != 3 or dtypes != {np.dtype(np.uint8)}:
        raise QuestionError(
            f"the frames of {given.name} are {', '.join(sorted(map(str, shapes)))} of {', '.join(map(str, dtypes))}",
            hint="Give RGB frames of one size: (height, width, 3) of uint8, or PIL images.",
        )
    timestamps, duration = _timestamps(given, len(arrays))
    selection = select(timestamps, duration, sampling, settings, given.name)
    height, width = arrays[0].shape[:2]
    info = VideoInfo(
        name=given.name,
        width=width,
        height=height,
        duration=duration,
        fps=len(arrays) / duration,
        total_frames=len(arrays),
        codec="",
        reader="given",
    )
    images = np.stack([arrays[index] for index in selection.indices])
    return Frames(images, selection.indices, tuple(timestamps[i] for i in selection.indices), info, selection.warnings)


def _refuse_bare_frames(video: object) -> None:
    if isinstance(video, list | tuple) or hasattr(video, "__array_interface__"):
        raise QuestionError(
            "decoded frames say nothing of their time", hint="Wrap them: FrameSequence(frames, fps=…) or timestamps=…."
        )


def _timestamps(given: FrameSequence, count: int) -> tuple[list[float], float]:
    if given.timestamps is not None:
        times = [float(t) for t in given.timestamps]
        rising = all(a < b for a, b in pairwise(times))
        if len(times) != count or not rising or not (times[0] >= 0 and math.isfinite(times[-1])):
            raise QuestionError(
                f"{given.name} has {len(times)} timestamps for {count} frames, or they do not rise",
                hint="Give one rising timestamp in seconds for each frame.",
            )
        return times, times[-1] + (times[-1] - times[0]) / max(count - 1, 1) if count > 1 else times[-1] + 1.0
    if given.fps is None or not (math.isfinite(given.fps) and given.fps > 0):
        raise QuestionError(f"{given.name} has no timestamps", hint="Give timestamps in seconds, or fps above 0.")
    return [i / given.fps for i in range(count)], count / given.fps


def _info(file: SourceFile, header: dict[str, Any], reader: str) -> VideoInfo:
    metadata = header["metadata"]
    return VideoInfo(
        name=file.name,
        width=metadata["width"],
        height=metadata["height"],
        duration=metadata["duration"],
        fps=len(metadata["timestamps"]) / metadata["duration"],
        total_frames=len(metadata["timestamps"]),
        codec=header["codec"],
        reader=reader,
        from_cache=file.from_cache,
    )


def _decode(file: SourceFile, sampling: Sampling | None, settings: Settings) -> tuple[dict[str, Any], bytes, str]:
    """Asks the readers in turn; the last one's word counts."""
    if not file.path.stat().st_size:
        raise NoVideoError(f"{file.name} is empty", hint="Give a file that holds a video.")
    deadline = time.monotonic() + settings.decode_timeout
    request = {
        "path": str(file.path),
        "name": file.name,
        "sampling": None if sampling is None else sampling.model_dump(),
        "settings": settings.model_dump(mode="json"),
    }
    try:
        header, body = _ask_worker(request | {"reader": "decord"}, settings.decode_timeout * _FIRST_READER_SHARE)
        if header["complaints"] and not header["shortcomings"]:
            times = "once" if header["complaints"] == 1 else f"{header['complaints']} times"
            header["shortcomings"] = [f"{file.name} may be damaged: its decoder reported errors {times}."]
        return header, body, "decord"
    except DecodeError as first:
        try:
            header, body = _ask_worker(request | {"reader": "pyav"}, deadline - time.monotonic())
            if isinstance(first, DecodeTimeoutError):
                header["shortcomings"].insert(0, f"{file.name} may be damaged: {first.message}, so pyav read it.")
            return header, body, "pyav"
        except DecodeTimeoutError as error:
            raise DecodeTimeoutError(
                f"reading {file.name} took longer than {settings.decode_timeout:g} s",
                hint="Ask about a shorter range, or raise VIDEO_TOOL_DECODE_TIMEOUT.",
            ) from error
        except NoVideoError as error:
            raise NoVideoError(f"{file.name}: {error.message}", hint="Give a file that holds a video.") from error
        except DecodeError as error:
            raise DecodeError(
                f"{file.name}: {error.message}", hint="The file is damaged, encrypted or cut off: try another copy."
            ) from error


def _ask_worker(request: dict[str, Any], timeout: float) -> tuple[dict[str, Any], bytes]:
    command = [sys.executable, "-P", "-m", "video_tool.frames.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        try:
            out, said = worker.communicate(json.dumps(request | {"seconds": timeout}).encode(), timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise DecodeTimeoutError(f"{request['reader']} took longer than {timeout:.1f} s") from error
        finally:
            worker.kill()
    line, _, body = out.partition(b"\n")
    if worker.returncode or not line:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise DecodeError(f"{request['reader']} crashed on it (exit status {worker.returncode}): {last[:200]}")
    header: dict[str, Any] = json.loads(line)
    if "error" in header:
        raise getattr(errors, header["error"])(header["message"], hint=header["hint"])
    header["complaints"] = len(_FFMPEG_ERROR.findall(said))
    return header, body
