"""Fewer visual tokens where they are asked for: which ones, what becomes of them, and what the receipt says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from tests.checkpoints import CONTEXT, SIDE, TOKENS, write_checkpoint
from tests.models.caching import model, opened, same, spared, watched
from tests.models.test_transformers import image, video
from tests.models.test_vision import Pixels, shown, use
from video_tool import Settings, VideoQA
from video_tool.answer import VideoAnswer
from video_tool.builtin import DEMO_VIDEO
from video_tool.builtin.clips import write_video
from video_tool.errors import ContextLengthError, QuestionError
from video_tool.models.reducing import changed, pooled

GRID = 3
POOLED = 4
"""Tokens that the nine of a frame come to: a row and a column are left over."""

ASKED: dict[str, Any] = {"num_frames": 4, "max_new_tokens": 8}


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def still(pixels: Pixels) -> Pixels:
    return np.repeat(pixels[:1], 4, axis=0)


@pytest.fixture
def qa(checkpoint: Path) -> VideoQA:
    """With nothing kept so far."""
    return opened(checkpoint, Settings())


@pytest.fixture
def plain(checkpoint: Path) -> VideoQA:
    """The same, which keeps nothing."""
    return opened(checkpoint, Settings(prefix_cache_bytes=0, feature_cache_bytes=0))


def visual(answer: VideoAnswer) -> tuple[int | None, int | None]:
    return answer.usage.visual_tokens, answer.usage.unreduced_visual_tokens


def by_hand(qa: VideoQA, frames: Pixels, kept: list[torch.Tensor] | None) -> str:
    """What plain Transformers says when its features are cut down in front of its language model."""
    loaded, processor = model(qa)._model, model(qa).preprocessor.processor
    inputs = processor.image_processor(images=list(frames), return_tensors="pt")
    with torch.inference_mode():
        features = loaded.get_image_features(inputs["pixel_values"]).pooler_output
    parts = [
        avg_pool2d(each.T.reshape(1, -1, GRID, GRID), 2, ceil_mode=True).flatten(2)[0].T
        if kept is None
        else each[kept[number]]
        for number, each in enumerate(features)
    ]
    images = "".join("<image>" * len(part) for part in parts)
    text = f"<|im_start|>user {images}\nWhat moves?<|im_end|><|im_start|>assistant"
    ids = processor.tokenizer(text, return_tensors="pt")["input_ids"]
    embedded = loaded.get_input_embeddings()(ids)
    embedded[ids == loaded.config.image_token_id] = torch.cat(parts).to(embedded)
    with torch.inference_mode():
        out = loaded.generate(inputs_embeds=embedded, max_new_tokens=8, do_sample=False)
    return processor.tokenizer.decode(out[0], skip_special_tokens=True).strip()


@pytest.mark.parametrize("side", [2, 3, 4, 27])
def test_pooled_tokens_are_means_of_their_neighbours(side: int) -> None:
    features = torch.randn(side**2, 5, generator=torch.Generator().manual_seed(0))
    made = pooled(features, side).T.reshape(5, -(-side // 2), -(-side // 2))
    grid = features.T.reshape(5, side, side)
    even = side // 2
    assert torch.allclose(made[:, :even, :even], avg_pool2d(grid[None], 2)[0])
    if side % 2:
        assert torch.allclose(made[:, -1, -1], grid[:, -1, -1])
        assert torch.allclose(made[:, 0, -1], grid[:, :2, -1].mean(-1))


def test_every_frame_is_pooled(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    for each in (qa, qa, plain):
        answer = each.ask("What moves?", [shown(pixels)], visual_tokens="pooled", **ASKED)
        assert visual(answer) == (4 * POOLED, 4 * TOKENS)
        assert answer.text.strip() == by_hand(qa, pixels, None)
    assert use(answer).unused == "feature_cache_bytes is 0"


def test_patches_that_stay_the_same_are_read_once(qa: VideoQA, plain: VideoQA, still: Pixels) -> None:
    """Of further frames, one patch each, that which changed most, says that they are there."""
    frames = still.copy()
    frames[2, 14:28, 28:42] = 255 - frames[2, 14:28, 28:42]  # the sixth of nine
    kept = [torch.arange(TOKENS), torch.tensor([0]), torch.tensor([5]), torch.tensor([5])]
    for each in (qa, qa, plain):
        answer = each.ask("What moves?", [shown(frames)], visual_tokens="changed", **ASKED)
        assert visual(answer) == (TOKENS + 3, 4 * TOKENS)
        assert answer.text.strip() == by_hand(qa, frames, kept)


def test_slow_changes_are_not_lost() -> None:
    """Each frame is near the one before; each is compared with what was last read."""
    drift = torch.arange(12.0)[:, None, None, None] * 0.04
    frames = torch.zeros(12, 3, 28, 28)
    frames[..., 14:, 14:] = drift
    frames[1::2, :, :14, :14] = 1
    masks = changed(frames, 2, [12])
    assert all(mask[0] for mask in masks), "there is always something that changes more"
    assert not any(mask[1] or mask[2] for mask in masks[1:])
    read = [number for number, mask in enumerate(masks) if mask[3]]
    assert read == [0, 3, 6, 9]


def test_each_video_begins_whole_and_images_stay_whole(qa: VideoQA, still: Pixels) -> None:
    answer = qa.ask(
        "What?", [shown(still), shown(still)], [image(1)], num_frames=4, max_new_tokens=2, visual_tokens="changed"
    )
    assert visual(answer) == (2 * (TOKENS + 3) + TOKENS, 9 * TOKENS)


def test_where_everything_changes_nothing_is_left_out(qa: VideoQA, plain: VideoQA, pixels: Pixels) -> None:
    expected = plain.ask("What moves?", [shown(pixels)], **ASKED)
    answer = qa.ask("What moves?", [shown(pixels)], visual_tokens="changed", **ASKED)
    assert visual(answer) == (4 * TOKENS, 4 * TOKENS)
    assert answer.text == expected.text
    assert spared(qa.ask("Is it red?", [shown(pixels)], **ASKED)) >= 4 * TOKENS, "it is the same prompt"


def test_a_still_video_stays_still_through_a_codec(qa: VideoQA, tmp_path: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    path = tmp_path / "still.mp4"
    write_video(path, np.repeat(picture[None], 40, axis=0), fps=10, options={"crf": "28"})
    answer = qa.ask("What moves?", [path], visual_tokens="changed", num_frames=8, max_new_tokens=2)
    assert visual(answer) == (TOKENS + 7, 8 * TOKENS)


def test_prompts_that_are_reduced_differently_are_told_apart(qa: VideoQA, plain: VideoQA, still: Pixels) -> None:
    for how in ("all", "pooled", "changed", "pooled", "all"):
        answer = qa.ask("What moves?", [shown(still)], visual_tokens=how, **ASKED)
        assert same(answer, plain.ask("What moves?", [shown(still)], visual_tokens=how, **ASKED))
    with watched(qa) as work:
        qa.ask("Where?", [shown(still)], visual_tokens="changed", **ASKED)
    assert work.frames == 0


def test_conversations_choices_and_several_questions(qa: VideoQA, plain: VideoQA, still: Pixels) -> None:
    for how in ("pooled", "changed"):
        talks = [each.conversation([shown(still)], num_frames=4) for each in (qa, plain)]
        for question in ("What moves?", "Sure?"):
            assert same(*(talk.ask(question, max_new_tokens=4, visual_tokens=how) for talk in talks))
        asked: dict[str, Any] = {"num_frames": 4, "visual_tokens": how}
        many = [
            each.ask_many(["What?", "Is it red?"], [shown(still)], max_new_tokens=4, **asked) for each in (qa, plain)
        ]
        assert all(map(same, *many))
        assert all(answer.usage.unreduced_visual_tokens == 4 * TOKENS for answer in many[0])
        chosen = [each.ask("Red?", [shown(still)], choices=["yes", "no"], **asked) for each in (qa, plain)]
        assert chosen[0].text == chosen[1].text


def test_pooled_frames_leave_room_for_more(qa: VideoQA) -> None:
    count = CONTEXT // TOKENS + 4
    asked: dict[str, Any] = {"num_frames": count, "max_new_tokens": 4}
    for how in ("all", "changed"):
        with pytest.raises(ContextLengthError) as caught:
            qa.ask("What moves?", [video()], visual_tokens=how, **asked)
        assert (caught.value.max_frames or 0) < count
    answer = qa.ask("What moves?", [video()], visual_tokens="pooled", **asked)
    assert visual(answer) == (count * POOLED, count * TOKENS)
    with pytest.raises(ContextLengthError) as caught:
        qa.ask("What moves?", [video()], visual_tokens="pooled", num_frames=60, max_new_tokens=4)
    most = caught.value.max_frames
    assert most is not None
    assert (
        len(qa.ask("What moves?", [video()], visual_tokens="pooled", num_frames=most, max_new_tokens=4).frames) == most
    )


@pytest.mark.parametrize("how", ["pooled", "changed"])
def test_models_without_a_grid_refuse(how: Any) -> None:
    qa = VideoQA("builtin", device="cpu", settings=Settings(allowed_roots=(DEMO_VIDEO.parent,)))
    with pytest.raises(QuestionError, match="no square grid") as caught:
        qa.ask("What moves?", [DEMO_VIDEO], visual_tokens=how)
    assert caught.value.hint


def test_servers_refuse() -> None:
    qa = VideoQA("openai:any", base_url="http://127.0.0.1:9", api_key="none")
    with pytest.raises(QuestionError, match="not made here"):
        qa.ask("What moves?", [DEMO_VIDEO], visual_tokens="pooled")


def test_a_template_of_its_own(tmp_path: Path, still: Pixels) -> None:
    """Whose placeholder is another."""
    qa = VideoQA(write_checkpoint(tmp_path, image_token="<|image|>"), device="cpu")
    answer = qa.ask("What moves?", [shown(still)], visual_tokens="pooled", **ASKED)
    assert visual(answer) == (4 * POOLED, 4 * TOKENS)
