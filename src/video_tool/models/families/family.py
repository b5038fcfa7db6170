"""A family: how its checkpoints take videos and images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from video_tool.answer import VideoInfo
from video_tool.errors import CheckpointError, PromptError
from video_tool.frames import Frames
from video_tool.models.failures import first_line
from video_tool.models.families.checking import check_encoded
from video_tool.models.families.counting import Counted, Shape, Size, TokenCounter, noise
from video_tool.models.families.metadata import video_metadata
from video_tool.prompt import Message, Prompt, TemplateStyle

if TYPE_CHECKING:
    import torch

_USUAL = (360, 640)
"""Height and width of frames that processors are tried with."""

_MISFITS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What processors raise when they don't get what they were made for, or were configured for another model."""


class Family:
    """How checkpoints take videos and images, as processor and configuration tell it.

    This one does for what Transformers itself would call by chat template and processor. A package that knows a family
    for which it does not subclasses it, and names the subclass to the hook `families` (see `video_tool.plugins`).

    Args:
        processor: the checkpoint's.
        config: the model's.

    Raises:
        CheckpointError: the processor takes neither images nor videos.

    Attributes:
        style: how its prompts stand for videos.
    """

    def __init__(self, processor: Any, config: Any) -> None:
        self.processor = processor
        self.config = config
        self.style = self._style()
        self._counter = TokenCounter(processor, self._count)

    def resizes_images_to(self, size: Size) -> None:
        """Takes it as known that the processor does so with images of all sizes, before it does anything else."""
        self._counter.image_size = size

    def prepare(self) -> None:
        """Counts what does not depend on a question, so that the first one does not wait for it."""
        with suppress(*_MISFITS):  # what is wrong with the processor is told to whom it concerns
            if self._counter.image_size is not None:
                self._counter.images([self._counter.image_size] * 2)
            if self.style.takes == "video":
                self._counter.trusts()
                _ = self._beside_frames

    @classmethod
    def fits(cls, processor: Any, config: Any) -> bool:  # noqa: ARG003 — subclasses look at them
        """Whether a checkpoint is of this family."""
        return True

    @property
    def visual_ids(self) -> frozenset[int]:
        """The tokens whose places frames and images take."""
        for holder in (self.config, self.processor):
            found = (getattr(holder, f"{kind}_token_id", None) for kind in ("image", "video"))
            if ids := frozenset(number for number in found if isinstance(number, int)):
                return ids
        return frozenset()

    @cached_property
    def max_frames(self) -> int | None:
        """The most frames of one video that the checkpoint says it takes; None where only its context is a limit."""
        videos = getattr(self.processor, "video_processor", None) if self.style.takes == "video" else None
        sampling = getattr(videos, "video_sampling", None) or {}
        most = getattr(videos, "max_frames", None) or sampling.get("max_frames")
        return int(most) if most else None

    @cached_property
    def mixes(self) -> bool:
        """Whether a prompt may hold images beside videos.

        Some models can't tell their pixels apart, or the tokens that stand for them.
        """
        if self.style.takes == "images" or not self.style.image_token:
            return True
        kinds = ("image_processor", "video_processor")
        names = ({*getattr(getattr(self.processor, kind, None), "model_input_names", ())} for kind in kinds)
        if any(name.startswith("pixel_values") for name in set.intersection(*names)):
            return False
        try:
            inputs = self._process(self._placeholders(0, 1), (), (as_video(np.zeros((2, 64, 64, 3), np.uint8)),))
        except _MISFITS:
            return True  # what is wrong with it shows when the prompt is encoded
        image = getattr(self.config, "image_token_id", None)
        return not ("pixel_values_videos" in inputs and bool((inputs["input_ids"] == image).any()))

    def arrange(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages in a form that the model can take.

        Where images can't stand beside videos, they become videos of one frame.
        """
        pieces = [piece for message in messages for piece in message.content]
        videos = any(isinstance(piece, Frames) for piece in pieces)
        images = any(isinstance(piece, Image.Image) for piece in pieces)
        if not (videos and images) or self.mixes:
            return tuple(messages)
        return tuple(
            replace(
                message,
                content=tuple(
                    _one_frame(piece) if isinstance(piece, Image.Image) else piece for piece in message.content
                ),
            )
            for message in messages
        )

    def encode(self, prompt: Prompt) -> Any:
        """What the model takes for a prompt, with all its media in it.

        Returns:
            `input_ids` (1, tokens), pixels and the rest, on the CPU, as a `BatchFeature` of Transformers.

        Raises:
            PromptError: videos that can't go together.
            PlaceholderError: the processor lost a video or image.
            CheckpointError: the processor's configuration does not fit, or frames are missing or doubled.
        """
        try:
            inputs = self._process(prompt.text, prompt.images, prompt.videos)
        except _MISFITS as error:
            raise (self._uneven(prompt) or self.misfit(error)) from error
        check_encoded(inputs, prompt, self.visual(inputs["input_ids"]), self._pairs, self._name)
        return inputs

    def encode_media(self, images: Sequence[NDArray[np.uint8]], videos: Sequence[Frames]) -> Any:
        """What the model takes for media without words, as far as the processor makes it for them alone.

        Raises:
            CheckpointError: the processor's configuration does not fit.
        """
        try:
            return self._process(self._placeholders(len(images), len(videos)), images, videos)
        except _MISFITS as error:
            raise self.misfit(error) from error

    def encode_words(self, text: str) -> Any:
        """What the processor makes of a text in which all visual tokens are written out, and none of its media.

        It is its tokenizer's part; by itself, the processor would miss the media.
        """
        return self.processor.tokenizer(text, return_tensors="pt", **self._special(text))

    def visual(self, ids: torch.Tensor) -> int:
        """How many tokens of a prompt stand for frames and images."""
        return sum(int((ids == token).sum()) for token in self.visual_ids)

    def visual_tokens(self, images: Sequence[Size], videos: Sequence[Shape]) -> int:
        """How many visual tokens `encode` would make of media of these sizes.

        Exact, but for models that leave out what stays the same from frame to frame: there it is the most.

        Args:
            images: height and width of each.
            videos: frames, height and width of each.

        Raises:
            CheckpointError: the processor's configuration does not fit the model.
        """
        try:
            if self.style.takes == "images":
                frames = [(height, width) for count, height, width in videos for _ in range(count)]
                return self._counter.images([*images, *frames])
            if images and videos and not self.mixes:
                return self._counter.videos([*((1, *size) for size in images), *videos])
            return self._counter.images(images) + self._counter.videos(videos)
        except _MISFITS as error:
            raise self.misfit(error) from error

    def estimate(self, prompt: Prompt) -> int:
        """About how many tokens `encode` would make of a prompt; of its frames, their number and size is looked at."""
        shapes = [(len(video.images), *video.images.shape[1:3]) for video in prompt.videos]
        sizes: list[Size] = [(image.shape[0], image.shape[1]) for image in prompt.images]
        placeholders = len(prompt.images) + len(prompt.videos)
        words = len(self.processor.tokenizer.encode(prompt.text)) - placeholders
        try:
            of_images = self.visual_tokens(sizes, []) + self._counter.beside_images(sizes) if sizes else 0
            first, each = self._beside_frames if shapes else (0, 0)
        except _MISFITS as error:
            raise self.misfit(error) from error
        of_videos = self.visual_tokens([], shapes) if shapes else 0
        return words + int(of_images + of_videos + sum(first + each * count for count, _, _ in shapes))

    @cached_property
    def _beside_frames(self) -> tuple[float, float]:
        """How many tokens the processor writes besides the visual ones for a video, and more for each frame: times."""
        found = [self._count((), (noise(count, *_USUAL),)).beside for count in (2, 6)]
        each = (found[1] - found[0]) / 4
        return found[0] - 2 * each, each

    def _uneven(self, prompt: Prompt) -> PromptError | None:
        """Where the media are at fault: processors that stack them fail with videos of different lengths."""
        counts = [len(video.images) for video in prompt.videos]
        if len(set(counts)) > 1 and self._takes((), prompt.videos[:1]):
            return PromptError(
                f"{self._name} takes videos of equally many frames alone, and these have {', '.join(map(str, counts))}",
                hint=f"Ask with num_frames={min(counts)}, or about one video at a time.",
            )
        if len({image.shape for image in prompt.images}) > 1 and self._takes(prompt.images[:1], ()):
            return PromptError(
                f"{self._name} takes images of one shape alone, and these differ",
                hint="Give images of one width and height, or one at a time.",
            )
        return None

    def _takes(self, images: Sequence[NDArray[np.uint8]], videos: Sequence[Frames]) -> bool:
        try:
            self._process(self._placeholders(len(images), len(videos)), images, videos)
        except _MISFITS:
            return False
        return True

    def misfit(self, error: Exception) -> CheckpointError:
        """What an error of the processor or the model says, as one of ours."""
        return CheckpointError(
            f"{self._name} and the model do not fit together: {first_line(error)}",
            hint="The checkpoint's processor configuration is incomplete or another model's: use another checkpoint.",
        )

    @property
    def _name(self) -> str:
        return type(self.processor).__name__

    @property
    def _pairs(self) -> int:
        """How many frames of a video the model sees as one."""
        return int(getattr(getattr(self.processor, "video_processor", None), "temporal_patch_size", None) or 1)

    def _style(self) -> TemplateStyle:
        """A processor with a video processor and a video token takes videos; the others take images."""
        image_token, video_token = (self._token(f"{kind}_token") for kind in ("image", "video"))
        if video_token and getattr(self.processor, "video_processor", None) is not None:
            return TemplateStyle("video", image_token, video_token, self._around("image"), self._around("video"))
        if image_token and getattr(self.processor, "image_processor", None) is not None:
            return TemplateStyle("images", image_token, around_image=self._around("image"))
        raise CheckpointError(
            f"{self._name} takes neither images nor videos",
            hint="Use a vision-language checkpoint, such as llava-hf/llava-interleave-qwen-0.5b-hf.",
        )

    def _around(self, kind: str) -> tuple[str, str]:
        """The tokens that mark where an image or video begins and ends, where the processor does not write them."""
        found: list[str] = []
        for side in ("start", "end"):
            names = (f"{each}_{side}_token_id" for each in (kind, "vision"))
            number = next((each for name in names if isinstance(each := getattr(self.config, name, None), int)), None)
            if number is None:
                return "", ""
            found.append(str(self.processor.tokenizer.convert_ids_to_tokens(number)))
        return found[0], found[1]

    def _token(self, name: str) -> str:
        tokenizer = getattr(self.processor, "tokenizer", None)
        return str(getattr(self.processor, name, None) or getattr(tokenizer, name, None) or "")

    def _process(self, text: str, images: Sequence[NDArray[np.uint8]], videos: Sequence[Frames]) -> Any:
        """Calls the processor as `apply_chat_template` of Transformers does."""
        media: dict[str, Any] = {}
        if images:
            media["images"] = [[Image.fromarray(image) for image in images]]
        if videos:
            videos = [self._filled(video) for video in videos]
            # channels first: a frame three pixels high would be taken for that
            media["videos"] = [[np.ascontiguousarray(video.images.transpose(0, 3, 1, 2)) for video in videos]]
            # the frames are chosen already: the processor must neither drop nor repeat any
            media["do_sample_frames"] = False
            media["video_metadata"] = [video_metadata(video) for video in videos]
        return self.processor(text=text, return_tensors="pt", **media, **self._special(text))

    def _special(self, text: str) -> dict[str, bool]:
        """A template that writes the opening token itself must not get a second one."""
        first = self.processor.tokenizer.bos_token
        return {"add_special_tokens": False} if first and text.startswith(first) else {}

    def _filled(self, video: Frames) -> Frames:
        """With its last frame repeated where it is shorter than what the model sees as one.

        Processors that see frames in pairs do that with an odd frame at the end, and some fail when it is the only one.
        """
        missing = self._pairs - len(video.images)
        if missing <= 0:
            return video
        return replace(
            video,
            images=np.concatenate([video.images, *[video.images[-1:]] * missing]),
            indices=(*video.indices, *video.indices[-1:] * missing),
            timestamps=(*video.timestamps, *video.timestamps[-1:] * missing),
        )

    def _count(self, images: Sequence[NDArray[np.uint8]], videos: Sequence[NDArray[np.uint8]]) -> Counted:
        shown = [as_video(frames) for frames in videos]
        ids = self._process(self._placeholders(len(images), len(videos)), images, shown)["input_ids"]
        visual = self.visual(ids)
        return Counted(visual, int(ids.shape[1]) - visual)

    def _placeholders(self, images: int, videos: int) -> str:
        return self.style.image_token * images + self.style.video_token * videos


def _one_frame(image: Image.Image) -> Frames:
    return as_video(np.asarray(image)[None])


def as_video(images: NDArray[np.uint8]) -> Frames:
    """Frames a second apart, of no file."""
    count, height, width = images.shape[:3]
    info = VideoInfo(
        name="frames",
        width=width,
        height=height,
        duration=float(count),
        fps=1.0,
        total_frames=count,
        codec="",
        reader="given",
    )
    return Frames(images, tuple(range(count)), tuple(map(float, range(count))), info)
