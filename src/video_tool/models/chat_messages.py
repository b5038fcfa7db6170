"""A conversation as OpenAI's chat completions take it: frames as JPEG in data URLs, and when they are shown.

Nothing is sent by reference: the server fetches nothing, whatever a question says.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from video_tool.frames import Frames
from video_tool.model_options import VideoFormat
from video_tool.prompt import Message

_FRAME_SIDE = 1024
"""Pixels: frames are shrunk to it. The models of today read a frame in 384 to about 1,000 pixels."""
_IMAGE_SIDE = 2048
"""Pixels: images are shrunk to it. Hosted models bring larger ones to this themselves, before they read them."""
_JPEG = {"quality": 90, "subsampling": 0}
"""Colour at full resolution: small shapes and letters in colour blur otherwise, for a third fewer bytes."""

_TOKENS = re.compile(
    r"<(?=[|\uff5c][^<>]*[|\uff5c]>"
    r"|/?(?:s|image|video|img|vision|bos|eos|pad|unk|start_of_turn|end_of_turn|start_of_image|end_of_image"
    r"|image_soft_token|IMG_CONTEXT)>)"
    r"|\[(?=/?(?:INST|IMG|IMG_BREAK|IMG_END)\])"
)
"""Where the control tokens and placeholders begin that chat models have in common."""


def chat_messages(messages: Sequence[Message], video_format: VideoFormat) -> list[dict[str, Any]]:
    """The conversation in the form of the protocol.

    Args:
        messages: all turns, with videos and images where they belong.
        video_format: how videos are sent.
    """
    videos = _videos(messages)
    numbers = iter(range(1, len(videos) + 1))
    rows: list[dict[str, Any]] = []
    for message in messages:
        parts: list[dict[str, Any]] = []
        for piece in message.content:
            if isinstance(piece, str):
                parts.append(_text(plain_text(piece)))
            elif isinstance(piece, Frames) and video_format == "video":
                # what the request can't tell of several videos is told in words
                parts += _video(piece, next(numbers), in_words=len(videos) > 1)
            elif isinstance(piece, Frames):
                parts += _frames(piece, next(numbers))
            else:
                parts.append({"type": "image_url", "image_url": {"url": _data_url("image", piece, _IMAGE_SIDE)}})
        only_words = all(part["type"] == "text" for part in parts)
        content = "".join(part["text"] for part in parts) if only_words else parts
        rows.append({"role": message.role, "content": content})
    return rows


def video_metadata(messages: Sequence[Message]) -> dict[str, Any]:
    """What vLLM is told of the videos beside their frames (`media_io_kwargs`).

    It holds for all videos of a request, so that times can be told of a single one only.
    """
    videos = _videos(messages)
    told: dict[str, Any] = {"num_frames": -1}  # else a server keeps the first 32 frames and drops the others
    if len(videos) == 1:
        (video,) = videos
        told |= {
            "fps": video.info.fps,
            "frames_indices": list(video.indices),
            "total_num_frames": video.info.total_frames,
            "duration": video.info.duration,
            "do_sample_frames": False,
        }
    return {"media_io_kwargs": {"video": told}} if videos else {}


def frame_label(video: int, timestamp: float) -> str:
    """The words before a frame. Videos are counted from 1, through the whole conversation."""
    return f"Video {video} at {timestamp:.2f} s:"


def video_label(video: int, timestamps: Sequence[float]) -> str:
    """The words before a video of several."""
    return f"Video {video}, its frames at {', '.join(f'{each:.2f}' for each in timestamps)} s:"


def plain_text(text: str) -> str:
    """The text, with a blank in what looks like a token of a chat model: which tokens a server knows is not told."""
    return _TOKENS.sub(lambda sign: f"{sign[0]} ", text)


def _videos(messages: Sequence[Message]) -> list[Frames]:
    return [piece for message in messages for piece in message.content if isinstance(piece, Frames)]


def _frames(video: Frames, number: int) -> Iterator[dict[str, Any]]:
    for image, timestamp in zip(video.images, video.timestamps, strict=True):
        yield _text(frame_label(number, timestamp))
        url = _data_url("image", Image.fromarray(image), _FRAME_SIDE)
        yield {"type": "image_url", "image_url": {"url": url}}


def _video(video: Frames, number: int, *, in_words: bool) -> Iterator[dict[str, Any]]:
    if in_words:
        yield _text(video_label(number, video.timestamps))
    frames = ",".join(_jpeg(Image.fromarray(image), _FRAME_SIDE) for image in video.images)
    yield {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{frames}"}}


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def _data_url(kind: str, image: Image.Image, side: int) -> str:
    return f"data:{kind}/jpeg;base64,{_jpeg(image, side)}"


def _jpeg(image: Image.Image, side: int) -> str:
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", **_JPEG)
    return base64.b64encode(file.getvalue()).decode()
