"""`transformers.pipeline("image-text-to-text")`, given the frames of a video with each question."""

from __future__ import annotations

from pathlib import Path

from references.recipe import read_frames
from transformers import pipeline


class Pipeline:
    def __init__(self, model: Path, dtype: str = "float32", device: str = "cpu") -> None:
        self.pipe = pipeline("image-text-to-text", model=str(model), dtype=dtype, device=device)

    def ask(self, question: str, video: Path, num_frames: int, max_new_tokens: int) -> str:
        frames = read_frames(video, num_frames)
        content = [*({"type": "image", "image": frame} for frame in frames), {"type": "text", "text": question}]
        found = self.pipe(
            text=[{"role": "user", "content": content}],
            max_new_tokens=max_new_tokens,
            return_full_text=False,
            generate_kwargs={"do_sample": False},
        )
        return found[0]["generated_text"].strip()
