"""The common recipe: OpenCV reads all frames and a few are kept, Pillow, processor, `generate`; for each question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration


def read_frames(path: Path, count: int) -> list[Image.Image]:
    video = cv2.VideoCapture(str(path))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {number * total // count for number in range(count)}
    frames = []
    for index in range(total):
        there, frame = video.read()
        if not there:
            break
        if index in wanted:
            frames.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
    video.release()
    return frames


def which_frame(number: int, frames: list[Image.Image]) -> dict[str, int]:
    """What the built-in model's chat template wants to know of a video's frame; others take no notice."""
    return {"frame": number, "frames": len(frames)}


class Recipe:
    def __init__(self, model: Path, dtype: str = "float32", device: str = "cpu") -> None:
        self.processor = AutoProcessor.from_pretrained(model)
        self.model = LlavaForConditionalGeneration.from_pretrained(model, dtype=dtype).to(device)

    def inputs(self, question: str, frames: list[Image.Image]) -> Any:
        content = [{"type": "image"} | which_frame(number, frames) for number in range(len(frames))]
        content.append({"type": "text", "text": question})
        prompt = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = self.processor(text=prompt, images=frames, return_tensors="pt")
        return inputs.to(self.model.device, self.model.dtype)

    def ask(self, question: str, video: Path, num_frames: int, max_new_tokens: int, streamer: Any = None) -> str:
        inputs = self.inputs(question, read_frames(video, num_frames))
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, streamer=streamer)
        return self.processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
