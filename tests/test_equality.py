"""VideoQA against plain Transformers, called by hand on the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from tests.checkpoints import TOKENS
from video_tool import VideoQA
from video_tool.model_options import ModelOptions
from video_tool.models.transformers import TransformersModel
from video_tool.progress import ignore_progress
from video_tool.question import GenerationOptions, Sampling, VideoQuestion

FRAMES = 4
NEW = 12


@dataclass(frozen=True)
class Case:
    """A question, what it is asked about by number (v0, i0, …), and the prompt that a careful user would write.

    `[n]` in the prompt stands for n image placeholders; `order` is what they show.
    """

    question: str
    videos: tuple[int, ...]
    images: tuple[int, ...]
    prompt: str
    order: tuple[str, ...]


CASES = {
    "one video": Case("What moves?", (0,), (), "user [4]\nWhat moves?", ("v0",)),
    "two videos": Case("The same?", (1, 0), (), "user [8]\nThe same?", ("v1", "v0")),
    "video and image": Case("Is it there?", (0,), (0,), "user [5]\nIs it there?", ("v0", "i0")),
    "images only": Case("Which is first?", (), (1, 0), "user [2]\nWhich is first?", ("i1", "i0")),
    "markers of two videos": Case(
        "What moves in <video>, and what in <video>?",
        (0, 1),
        (),
        "user \nWhat moves in [4], and what in [4]?",
        ("v0", "v1"),
    ),
    "markers of image and video": Case(
        "Is <image> the first frame of <video>?", (1,), (1,), "user \nIs [1] the first frame of [4]?", ("i1", "v1")
    ),
    "markers in front": Case("<image> <video> The same?", (1,), (0,), "user [5]\nThe same?", ("i0", "v1")),
}


@dataclass(frozen=True)
class Plain:
    """Transformers as a user would call it, without our code."""

    processor: Any
    model: Any

    def encode(self, prompt: str, images: list[Image.Image]) -> Any:
        for count in range(1, 10):
            prompt = prompt.replace(f"[{count}]", "<image>" * count)
        text = f"<|im_start|>{prompt}<|im_end|><|im_start|>assistant"
        return self.processor(text=text, images=images, return_tensors="pt")

    def generate(self, inputs: Any) -> list[int]:
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=NEW, do_sample=False)
        return out[0, inputs["input_ids"].shape[1] :].tolist()


@pytest.fixture(scope="module", params=["checkpoint", "older_checkpoint"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Plain:
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return Plain(LlavaProcessor.from_pretrained(folder), model.eval())


@pytest.fixture(scope="module")
def ours(folder: Path) -> tuple[VideoQA, TransformersModel]:
    return VideoQA(folder, device="cpu"), TransformersModel(folder, ModelOptions(device="cpu"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("images")
    paths = folder / "wide.png", folder / "high.png"
    for path, shape in zip(paths, ((40, 90, 3), (70, 50, 3)), strict=True):
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(path)
    return paths


def decoded(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as container:
        every: list[NDArray[np.uint8]] = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [Image.fromarray(every[i * len(every) // FRAMES]) for i in range(FRAMES)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_ids_pixels_and_tokens_are_those_of_plain_transformers(
    case: Case,
    plain: Plain,
    ours: tuple[VideoQA, TransformersModel],
    lossless_videos: tuple[Path, Path],
    images: tuple[Path, Path],
) -> None:
    shown = {f"v{n}": decoded(path) for n, path in enumerate(lossless_videos)}
    shown |= {f"i{n}": [Image.open(path)] for n, path in enumerate(images)}
    by_hand = plain.encode(case.prompt, [image for name in case.order for image in shown[name]])
    tokens = plain.generate(by_hand)

    qa, model = ours
    videos = tuple(lossless_videos[number] for number in case.videos)
    pictures = tuple(images[number] for number in case.images)
    messages = qa.read(
        VideoQuestion(question=case.question, videos=videos, images=pictures, sampling=Sampling(num_frames=FRAMES))
    ).messages
    encoded = model.preprocessor.encode(model.preprocessor.prompt(messages))
    generation = model.generate(messages, GenerationOptions(max_new_tokens=NEW), ignore_progress)
    answer = qa.ask(case.question, videos, pictures, num_frames=FRAMES, max_new_tokens=NEW)

    assert sorted(encoded) == sorted(by_hand)
    for name in encoded:
        assert torch.equal(encoded[name], by_hand[name]), name
    assert list(generation.said.tokens) == tokens
    assert answer.text == generation.said.text == plain.processor.decode(tokens, skip_special_tokens=True).strip()
    seen = FRAMES * len(videos) + len(pictures)
    assert by_hand["pixel_values"].shape[0] == seen
    assert answer.usage.visual_tokens == seen * TOKENS
    assert answer.usage.visual_tokens + answer.usage.text_tokens == by_hand["input_ids"].shape[1]
    assert answer.usage.new_tokens == len(tokens)
    assert answer.model.dtype == "float32"


def test_the_template_writes_what_was_written_by_hand(plain: Plain) -> None:
    """Keeps the prompts above honest: this is how the checkpoint itself puts one."""
    content = [{"type": "text", "text": "What moves?"}, *[{"type": "image"}] * FRAMES]
    text = plain.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    assert text == "<|im_start|>user " + "<image>" * FRAMES + "\nWhat moves?<|im_end|><|im_start|>assistant"


def test_the_answer_follows_from_every_frame_and_from_their_order(
    plain: Plain, lossless_videos: tuple[Path, Path]
) -> None:
    """Without this, equal tokens would say little."""
    frames = decoded(lossless_videos[0])
    answers = {
        tuple(plain.generate(plain.encode("user [4]\nWhat moves?", images)))
        for images in (frames, frames[::-1], [*frames[:3], frames[0]], decoded(lossless_videos[1]))
    }
    assert len(answers) == 4
