"""Models run by Hugging Face Transformers."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_tool.answer import ModelInfo
from video_tool.errors import ContextLengthError, OutOfMemoryError, PlaceholderError
from video_tool.models.base import Generation
from video_tool.models.families import template_style
from video_tool.models.hardware import Hardware
from video_tool.models.loading import BUILTIN, load
from video_tool.progress import OnProgress, Progress
from video_tool.prompt import Prompt, TemplateStyle
from video_tool.question import GenerationOptions

if TYPE_CHECKING:
    import torch


class TransformersModel:
    """A `VideoLanguageModel` loaded through Transformers. Raises as `loading.load` does."""

    def __init__(self, model: str | Path, revision: str | None, hardware: Hardware) -> None:
        self._model, self.processor = load(model, revision, hardware)
        self.style: TemplateStyle = template_style(self.processor)
        config = self._model.config
        self.info = ModelInfo(
            id=str(model),
            revision=version("video-tool") if model == BUILTIN else getattr(config, "_commit_hash", None),
            device=str(self._model.device),
            dtype=str(self._model.dtype).removeprefix("torch."),
            attention=str(config._attn_implementation),
            takes=self.style.takes,
        )

    def generate(self, prompt: Prompt, options: GenerationOptions, on_progress: OnProgress) -> Generation:
        """Answers one prompt.

        Raises:
            PlaceholderError: the processor lost the videos and images on the way.
            ContextLengthError: prompt and answer are longer than the model's context.
            OutOfMemoryError: the device does not hold the question.
        """
        import torch

        asked = time.perf_counter()
        inputs = self._encode(prompt)
        ids: torch.Tensor = inputs["input_ids"]
        visual = self._visual_tokens(ids)
        if (prompt.images or prompt.videos) and not visual:
            raise PlaceholderError(
                f"{type(self.processor).__name__} dropped the videos and images from the prompt",
                hint="The checkpoint's processor does not know its own placeholders: use another checkpoint.",
            )
        self._check_length(prompt, ids.shape[1], visual, options.max_new_tokens)
        encoded = time.perf_counter()
        try:
            with torch.inference_mode():
                out = self._model.generate(**inputs, **self._arguments(options, on_progress))
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"{ids.shape[1]} tokens do not fit into the device's memory",
                hint="Ask with fewer frames or videos.",
                retryable=True,
            ) from error
        new = out[0, ids.shape[1] :]
        ends = self._model.generation_config.eos_token_id
        stopped = len(new) > 0 and int(new[-1]) in ([ends] if isinstance(ends, int) else ends or [])
        return Generation(
            text=self.processor.tokenizer.decode(new, skip_special_tokens=True).strip(),
            visual_tokens=visual,
            text_tokens=ids.shape[1] - visual,
            new_tokens=len(new),
            finish_reason="stop" if stopped else "length",
            prompt_seconds=encoded - asked,
            generate_seconds=time.perf_counter() - encoded,
        )

    def _encode(self, prompt: Prompt) -> Any:
        from PIL import Image

        media: dict[str, Any] = {}
        if prompt.images:
            media["images"] = [Image.fromarray(image) for image in prompt.images]
        if prompt.videos:
            media["videos"] = [list(video.images) for video in prompt.videos]
            # the frames are chosen already: the processor must neither drop nor repeat any
            media["do_sample_frames"] = False
            media["video_metadata"] = [
                {
                    "total_num_frames": video.info.total_frames,
                    "fps": video.info.fps,
                    "duration": video.info.duration,
                    "frames_indices": list(video.indices),
                    "width": video.info.width,
                    "height": video.info.height,
                }
                for video in prompt.videos
            ]
        first = self.processor.tokenizer.bos_token
        # a template that writes the opening token itself must not get a second one
        special = {"add_special_tokens": False} if first and prompt.text.startswith(first) else {}
        inputs = self.processor(text=prompt.text, return_tensors="pt", **media, **special)
        return inputs.to(self._model.device, dtype=self._model.dtype)

    def _visual_tokens(self, ids: torch.Tensor) -> int:
        names = ("image_token_id", "video_token_id")
        tokens = {getattr(self._model.config, name, None) for name in names}
        return sum(int((ids == token).sum()) for token in tokens if token is not None)

    def _check_length(self, prompt: Prompt, tokens: int, visual: int, new: int) -> None:
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if context is None or tokens + new <= context:
            return
        frames = len(prompt.images) + sum(len(video.images) for video in prompt.videos)
        room = (context - new - (tokens - visual)) * frames // visual if visual else 0
        raise ContextLengthError(
            f"the prompt is {tokens} tokens ({visual} of them visual) and the answer up to {new}; "
            f"the model's context holds {context}",
            hint=f"At most {max(room, 0)} frames and images fit, over all videos: lower num_frames."
            if room > 0
            else "Shorten the question or max_new_tokens.",
            max_frames=max(room, 0),
        )

    def _arguments(self, options: GenerationOptions, on_progress: OnProgress) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "max_new_tokens": options.max_new_tokens,
            "stopping_criteria": [_Report(self.info.id, options.max_new_tokens, on_progress)],
        }
        if options.temperature > 0:
            return arguments | {"do_sample": True, "temperature": options.temperature}
        # the checkpoint's own sampling settings would only be warned about
        return arguments | {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}


class _Report:
    """Rides along as a stopping criterion, which is called for every token, and never stops anything."""

    def __init__(self, model: str, most: int, on_progress: OnProgress) -> None:
        self.model, self.most, self.on_progress = model, most, on_progress
        self.done = 0

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        self.done += 1
        self.on_progress(Progress("generate", self.model, self.done, self.most, "tokens"))
        return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
