"""Models that a plugin's backend runs."""

from __future__ import annotations

import numpy as np
import pytest

from video_tool import FrameSequence, Settings, VideoAnswer, VideoQA
from video_tool.errors import ModelError, ModelNotFoundError, QuestionError
from video_tool.model_options import PluginOptions, backend_of
from video_tool.progress import Progress

FRAMES = [FrameSequence(np.zeros((10, 24, 32, 3), np.uint8), fps=10)]

pytestmark = pytest.mark.usefixtures("plugged")


def test_it_is_asked_like_any_other() -> None:
    news: list[Progress] = []
    qa = VideoQA("parrot:grey", on_progress=news.append)
    answer = qa.ask("What moves?", FRAMES, num_frames=3)
    assert answer.text == "3 frames: What moves? []"
    assert (answer.model.id, answer.model.device, len(answer.frames)) == ("parrot:grey", "perch", 3)
    assert [(each.stage, each.subject) for each in news if each.stage == "load"] == [("load", "grey")]
    *pieces, last = qa.stream("What moves?", FRAMES, num_frames=3)
    assert isinstance(last, VideoAnswer)
    assert "".join(map(str, pieces)) == last.text == answer.text
    conversation = qa.conversation(FRAMES, num_frames=2)
    assert conversation.ask("What moves?").text == "2 frames: What moves? []"
    assert conversation.ask("And now?").text == "0 frames: And now? []"
    plan = qa.plan("What moves?", FRAMES, num_frames=3)
    assert (len(plan.frames), plan.prompt_tokens, plan.max_frames) == (3, None, None)
    qa.unload()
    assert qa.ask("What moves?", FRAMES).timings.load > 0


def test_it_is_given_the_options_that_were_given() -> None:
    qa = VideoQA("parrot:grey", device="cage", dtype="auto", base_url="http://127.0.0.1:9/v1", api_key="hunter2")
    assert isinstance(qa.options, PluginOptions)
    assert qa.options.given == {"device": "cage", "base_url": "http://127.0.0.1:9/v1", "api_key": "hunter2"}
    assert "hunter2" not in repr(qa.options)
    assert qa.ask("What moves?", FRAMES).model.device == "cage"
    with pytest.raises(ModelError, match="device is 7"):
        VideoQA("parrot:grey", device=7)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="timeout is -1"):
        VideoQA("parrot:grey", timeout=-1.0)
    with pytest.raises(TypeError, match="no option 'wings'"):
        VideoQA("parrot:grey", wings=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("parrot:asleep", "^it sleeps$"),
        ("parrot:broken", "the plugin parrot of Other_Plugins 1.5 failed: ZeroDivisionError: of its own"),
        ("parrot:egg", "gave object, which has no check_length"),
    ],
)
def test_one_that_does_not_load_is_a_model_error(model: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        VideoQA(model).ask("What moves?", FRAMES)
    assert caught.value.hint


def test_a_backend_that_nobody_has_is_told_before_anything_is_fetched() -> None:
    for settings, known in ((Settings(), "There is openai:, parrot:;"), (Settings(plugins=()), "There is openai:;")):
        with pytest.raises(ModelNotFoundError, match="dodo:grey: there is no backend dodo") as caught:
            VideoQA("dodo:grey", settings=settings).ask("What moves?", ["/nowhere/a.mp4"])
        assert known in caught.value.hint
        with pytest.raises(ModelNotFoundError, match="there is no backend dodo"):
            VideoQA("dodo:grey", settings=settings).load()


def test_what_makes_no_sense_is_refused_as_for_any_other() -> None:
    qa = VideoQA("parrot:grey")
    with pytest.raises(QuestionError, match="the question is empty"):
        qa.ask(" ", FRAMES)
    with pytest.raises(QuestionError, match="max_new_tokens"):
        qa.ask("What moves?", FRAMES, max_new_tokens=0)


@pytest.mark.parametrize(
    ("model", "backend"),
    [
        ("parrot:grey", "parrot"),
        ("parrot:", "parrot"),
        ("openai:small", "openai"),
        ("llava-hf/llava-interleave-qwen-0.5b-hf", None),
        ("builtin", None),
        ("./parrot:grey", None),
        ("/models/parrot:grey", None),
        ("C:/models", None),
        (r"c:\models", None),
    ],
)
def test_which_names_are_a_backends(model: str, backend: str | None) -> None:
    assert backend_of(model) == backend
