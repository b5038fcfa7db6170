"""A checkpoint in two hands: ours, and those of who calls Transformers as its documentation shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.families.family import Family
from video_tool import FrameSequence
from video_tool.frames import Frames, Media, read_video
from video_tool.model_options import ModelOptions
from video_tool.models.transformers import TransformersModel
from video_tool.prompt import Message, place_media
from video_tool.question import Sampling
from video_tool.settings import Settings

QUESTION = "What moves?"


def video(
    seed: int = 0,
    *,
    frames: int = 4,
    total: int = 40,
    fps: float = 10.0,
    size: tuple[int, int] = (40, 60),
    ceiling: int = 256,
) -> Frames:
    """Frames of noise, spread over a video of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (total, *size, 3), np.uint8)
    return read_video(FrameSequence(pixels, fps=fps), Sampling(num_frames=frames), Settings(max_frames=ceiling))


def image(seed: int = 0, size: tuple[int, int] = (50, 90)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


@dataclass
class Loaded:
    """A family's checkpoint."""

    tested: Family
    folder: Path
    ours: TransformersModel = field(init=False)
    model: Any = field(init=False)
    processor: Any = field(init=False)

    def __post_init__(self) -> None:
        self.ours = TransformersModel(self.folder, ModelOptions(device="cpu"))
        self.model = AutoModelForImageTextToText.from_pretrained(self.folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(self.folder)

    def messages(self, media: Sequence[Any], question: str = QUESTION) -> tuple[Message, ...]:
        """The question with its media in this order."""
        videos = tuple(piece for piece in media if isinstance(piece, Frames))
        images = tuple(piece for piece in media if not isinstance(piece, Frames))
        markers = "".join("<video>" if isinstance(piece, Frames) else "<image>" for piece in media)
        return (place_media(markers + question, Media(videos, images)),)

    def encoded(self, media: Sequence[Any]) -> Any:
        """What we make of them."""
        return self.ours.preprocessor.encode(self.ours.preprocessor.prompt(self.messages(media)))

    def by_hand(self, media: Sequence[Any]) -> Any:
        """What the documented call makes of them: the chat template, with the media in the conversation."""
        content: list[dict[str, Any]] = []
        metadata: list[dict[str, Any]] = []
        together = self.tested.mixes or not any(isinstance(piece, Frames) for piece in media)
        for piece in media:
            if isinstance(piece, Frames) and self.tested.video:
                content.append({"type": "video", "video": piece.images})
                metadata.append(_metadata(piece))
            elif isinstance(piece, Frames):
                content.extend({"type": "image", "image": Image.fromarray(frame)} for frame in piece.images)
            elif together:
                content.append({"type": "image", "image": piece})
            else:
                frames, numbers = _one_frame(piece, self.processor)
                content.append({"type": "video", "video": frames})
                metadata.append({"total_num_frames": 1, "fps": 1.0, "duration": 1.0, "frames_indices": numbers})
        content.append({"type": "text", "text": QUESTION})
        options = {"do_sample_frames": False, "video_metadata": metadata} if metadata else {}
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=options,
        )

    def generate(self, inputs: Any, new: int = 8) -> list[int]:
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=new, do_sample=False)
        return out[0, inputs["input_ids"].shape[1] :].tolist()

    def logits(self, inputs: Any) -> torch.Tensor:
        with torch.inference_mode():
            return self.model(**inputs).logits[0, -1]


def _metadata(video: Frames) -> dict[str, Any]:
    info = video.info
    return {
        "total_num_frames": info.total_frames,
        "fps": info.fps,
        "duration": info.duration,
        "frames_indices": list(video.indices),
    }


def _one_frame(piece: Image.Image, processor: Any) -> tuple[NDArray[np.uint8], list[int]]:
    """An image as a video, of as many frames as the processor sees as one."""
    count = getattr(processor.video_processor, "temporal_patch_size", 1)
    return np.stack([np.asarray(piece)] * count), [0] * count
