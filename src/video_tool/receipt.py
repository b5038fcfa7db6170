"""What an answer says of how it came about."""

from __future__ import annotations

import time
from collections.abc import Sequence

from video_tool.answer import FrameStamp, ModelInfo, Timings, VideoAnswer
from video_tool.frames import Frames
from video_tool.models import Generation
from video_tool.response_format import read_json
from video_tool.turn import Turn


def stamps(videos: Sequence[Frames]) -> tuple[FrameStamp, ...]:
    """Which frames of which video these are, video by video."""
    return tuple(
        FrameStamp(video=number, index=index, timestamp=timestamp)
        for number, video in enumerate(videos)
        for index, timestamp in zip(video.indices, video.timestamps, strict=True)
    )


def write_receipt(turn: Turn, generation: Generation, model: ModelInfo, load_seconds: float) -> VideoAnswer:
    """The answer that the user gets.

    Args:
        turn: what was asked.
        generation: what the model made of it.
        model: what it was, and how it ran.
        load_seconds: spent on loading it, besides those before the turn.
    """
    said = generation.said
    videos = [video for message in turn.messages for video in message.videos]
    parsed, refused = read_json(turn.options.response_format, said.text, said.finish_reason)
    return VideoAnswer(
        text=said.text,
        frames=stamps(videos),
        videos=tuple(video.info for video in videos),
        images=sum(len(message.images) for message in turn.messages),
        choices=said.choices,
        parsed=parsed,
        logprobs=said.logprobs,
        usage=generation.usage,
        prefix_cache=generation.prefix_cache,
        batch=generation.batch,
        feature_cache=generation.feature_cache,
        timings=Timings(
            fetch=sum(video.fetch_seconds for video in videos),
            decode=sum(video.decode_seconds for video in videos),
            load=turn.load_seconds + load_seconds,
            prompt=generation.prompt_seconds,
            generate=generation.generate_seconds,
            total=time.perf_counter() - turn.began,
        ),
        warnings=(*(warning for video in videos for warning in video.warnings), *turn.told(), *refused),
        model=model,
        finish_reason=said.finish_reason,
    )
