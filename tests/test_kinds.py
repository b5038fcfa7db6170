"""Base, instruct and chat models, asked the way each wants to be asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from tests.checkpoints import INTERLEAVING, write_checkpoint
from tests.frames.videos import numbered
from video_tool import Example, FrameSequence, VideoQA
from video_tool.errors import CheckpointError, PromptError, QuestionError

VIDEO, OTHER = (FrameSequence(frames, fps=5) for frames in (numbered(4), numbered(8)[4:]))
NEW = 8
LAST_QUESTION = INTERLEAVING.replace("for message in messages", "for message in messages[-1:]")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_checkpoint(tmp_path_factory.mktemp("base"))
    (folder / "chat_template.jinja").unlink()
    return folder


def plainly(folder: Path, text: str, videos: Sequence[FrameSequence]) -> tuple[int, str]:
    """What plain Transformers makes of a prompt: how many tokens it has, and what follows."""
    processor = LlavaProcessor.from_pretrained(folder)
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    images = [Image.fromarray(frame) for video in videos for frame in video.frames]
    inputs = processor(text=text, images=images, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=NEW, do_sample=False)
    prompt = inputs["input_ids"].shape[1]
    return prompt, processor.decode(out[0, prompt:], skip_special_tokens=True).strip()


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("<video> What moves? A:", "<image><image><image><image> What moves? A:"),
        ("What moves? A:", "<image><image><image><image>What moves? A:"),
    ],
)
def test_a_base_model_goes_on_with_the_prompt(base: Path, prompt: str, text: str) -> None:
    answer = VideoQA(base, device="cpu").ask(prompt, [VIDEO], num_frames=4, max_new_tokens=NEW)
    tokens, said = plainly(base, text, [VIDEO])
    assert answer.text == said
    assert answer.usage.visual_tokens + answer.usage.text_tokens == tokens
    assert answer.model.kind == "base"


def test_examples_of_a_base_model_show_videos_of_their_own(base: Path) -> None:
    examples = [Example(question="<video> What moves? A:", answer="A cat.", videos=[OTHER])]
    answer = VideoQA(base, device="cpu").ask(
        "<video> What moves? A:", [VIDEO], num_frames=4, examples=examples, system="Videos.", max_new_tokens=NEW
    )
    shown = "<image>" * 4
    text = f"Videos.\n\n{shown} What moves? A: A cat.\n\n{shown} What moves? A:"
    assert (answer.usage.visual_tokens + answer.usage.text_tokens, answer.text) == plainly(base, text, [OTHER, VIDEO])
    assert [frame.video for frame in answer.frames] == [0] * 4 + [1] * 4
    assert len(answer.videos) == 2


def test_a_stop_string_ends_what_a_base_model_says(base: Path) -> None:
    qa = VideoQA(base, device="cpu")
    whole = qa.ask("<video> A:", [VIDEO], num_frames=4, max_new_tokens=NEW).text
    stop = whole[len(whole) // 2]
    answer = qa.ask("<video> A:", [VIDEO], num_frames=4, max_new_tokens=NEW, stop=[stop])
    assert answer.text == whole[: whole.index(stop)].rstrip()
    assert answer.finish_reason == "stop"


def test_examples_of_a_chat_model_are_earlier_turns(qa: VideoQA) -> None:
    begun = qa.conversation(num_frames=4, system="Be brief.")
    said = begun.ask("What moves?", [OTHER], max_new_tokens=NEW).text
    later = begun.ask("And here?", [VIDEO], max_new_tokens=NEW)
    example = Example(question="What moves?", answer=said, videos=[OTHER])
    shown = qa.ask("And here?", [VIDEO], num_frames=4, system="Be brief.", examples=[example], max_new_tokens=NEW)
    assert (shown.text, shown.usage, shown.frames) == (later.text, later.usage, later.frames)
    without = qa.ask("And here?", [VIDEO], num_frames=4, examples=[example], max_new_tokens=NEW)
    assert without.usage.text_tokens < shown.usage.text_tokens
    assert shown.model.kind == "chat"


def test_an_instruct_model_answers_single_questions(tmp_path: Path) -> None:
    conversation = VideoQA(write_checkpoint(tmp_path, template=LAST_QUESTION), device="cpu").conversation([VIDEO])
    assert conversation.ask("What moves?", max_new_tokens=1).model.kind == "instruct"
    with pytest.raises(PromptError, match="single questions") as caught:
        conversation.ask("And then?")
    assert "VideoQA.ask" in caught.value.hint


def test_the_kind_can_be_set(base: Path, checkpoint: Path) -> None:
    completed = VideoQA(checkpoint, device="cpu", kind="base").ask("A:", [VIDEO], num_frames=4, max_new_tokens=NEW)
    assert completed.text == plainly(checkpoint, "<image><image><image><image>A:", [VIDEO])[1]
    assert completed.model.kind == "base"
    with pytest.raises(CheckpointError, match="no chat template") as caught:
        VideoQA(base, device="cpu", kind="chat").ask("What moves?", [VIDEO])
    assert "kind='base'" in caught.value.hint


def test_an_example_that_makes_no_sense(qa: VideoQA) -> None:
    with pytest.raises(ValueError, match="videos is a single str"):
        Example(question="What moves?", answer="A cat.", videos="cat.mp4")  # type: ignore[arg-type]
    with pytest.raises(QuestionError, match="question is empty"):
        qa.ask("What moves?", [VIDEO], examples=[Example(question="<video>", answer="A cat.", videos=[OTHER])])
