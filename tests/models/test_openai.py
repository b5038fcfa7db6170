"""Models on a server: the built-in one, asked over HTTP, says what it says when it is asked directly."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel, Field

from tests.programs import unmeasured
from tests.serving import Failure, ModelServer, serve_model
from video_tool import FrameSequence, Progress, Settings, VideoAnswer, VideoQA
from video_tool.answer import ModelInfo
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import ContextLengthError, MissingDependencyError, ModelError, QuestionError, ServerError
from video_tool.model_options import RemoteOptions
from video_tool.models.openai import OpenAIModel

QUESTION = "What happens in the video?"
TOGETHER = 30
"""Seconds within which threads meet that do not wait for each other."""


def remote(server: ModelServer, **arguments: Any) -> VideoQA:
    return VideoQA(
        f"openai:{server.name}",
        **{"base_url": server.base_url, "max_retries": 0, "settings": Settings(num_frames=6), **arguments},
    )


@pytest.mark.parametrize("video_format", ["frames", "video"])
def test_the_same_answer_over_http(server: ModelServer, builtin_qa: VideoQA, video_format: Any) -> None:
    here = builtin_qa.ask(QUESTION, videos=[DEMO_VIDEO])
    there = remote(server, video_format=video_format).ask(QUESTION, videos=[DEMO_VIDEO])
    assert there.text == here.text == "A red circle is first moving right, then growing."
    same = {"frames", "images", "finish_reason", "choices", "warnings"}
    assert there.model_dump(include=same) == here.model_dump(include=same)
    prompt = (here.usage.visual_tokens or 0) + (here.usage.text_tokens or 0)
    assert there.usage.model_dump() == {
        "visual_tokens": None,
        "text_tokens": prompt,
        "new_tokens": here.usage.new_tokens,
        "unreduced_visual_tokens": None,
    }
    assert there.model == ModelInfo(
        id="openai:small",
        revision=None,
        device=server.base_url,
        dtype=None,
        attention=None,
        takes="images" if video_format == "frames" else "video",
        kind="chat",
    )
    assert VideoAnswer.model_validate_json(there.model_dump_json()) == there


@pytest.mark.parametrize("video_format", ["frames", "video"])
def test_several_videos_and_images_keep_their_places(
    server: ModelServer, builtin_qa: VideoQA, video_format: Any
) -> None:
    blue = Image.new("RGB", (64, 64), "black")
    blue.paste((0, 0, 255), (16, 16, 48, 48))
    asked: list[tuple[str, list[Any], list[Any]]] = [
        ("What happens in <video>, and what is in <image>?", [DEMO_VIDEO], [blue]),
        ("What colour is the shape in <image>?", [], [blue]),
        ("Compare <video> and <video>.", [DEMO_VIDEO, DEMO_VIDEO], []),
        ("What is in each video?", [DEMO_VIDEO, DEMO_VIDEO], []),
    ]
    there = remote(server, video_format=video_format)
    for question, videos, images in asked:
        assert there.ask(question, videos, images).text == builtin_qa.ask(question, videos, images).text


def test_a_conversation_tells_the_server_all_that_was_said(server: ModelServer, builtin_qa: VideoQA) -> None:
    here = builtin_qa.conversation(videos=[DEMO_VIDEO])
    there = remote(server).conversation(videos=[DEMO_VIDEO])
    for question in (QUESTION, "What colour is it?", "And its shape?"):
        assert there.ask(question).text == here.ask(question).text
    assert [row["role"] for row in server.requests[-1]["messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]


def test_pieces_make_up_the_answer(server: ModelServer, builtin_qa: VideoQA) -> None:
    news: list[Progress] = []
    *pieces, answer = remote(server, on_progress=news.append).stream(QUESTION, videos=[DEMO_VIDEO])
    assert isinstance(answer, VideoAnswer)
    assert len(pieces) > 3
    assert "".join(map(str, pieces)) == answer.text == builtin_qa.ask(QUESTION, videos=[DEMO_VIDEO]).text
    counts = [each.done for each in news if each.stage == "generate"]
    assert counts == list(range(1, len(counts) + 1))


def test_an_event_loop_gets_pieces(server: ModelServer, builtin_qa: VideoQA) -> None:
    async def listen() -> list[Any]:
        return [piece async for piece in remote(server).astream(QUESTION, videos=[DEMO_VIDEO])]

    *pieces, answer = asyncio.run(listen())
    assert "".join(pieces) == answer.text == builtin_qa.ask(QUESTION, videos=[DEMO_VIDEO]).text


def test_who_leaves_early_is_noticed_by_the_server(server: ModelServer) -> None:
    gone = threading.Event()
    sent: list[int] = []

    def before_piece() -> None:
        sent.append(1)
        if len(sent) > 1:
            assert gone.wait(TOGETHER)

    server.before_piece = before_piece
    stream = remote(server).stream(QUESTION, videos=[DEMO_VIDEO], temperature=50.0, seed=1, max_new_tokens=200)
    next(stream)
    leaving = threading.Thread(target=stream.close)  # ends with the next piece at the latest, which has to come for it
    leaving.start()
    gone.set()
    leaving.join()
    assert server.left.wait(TOGETHER)
    assert len(sent) < 100


def test_several_questions_are_at_the_server_at_once(server: ModelServer) -> None:
    meeting = threading.Barrier(3)
    server.before_answer = lambda: meeting.wait(TOGETHER)
    qa = remote(server)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: qa.ask(QUESTION, videos=[DEMO_VIDEO]).text, range(3)))
    assert len(answers) == 3
    assert len(set(answers)) == 1


def test_options_reach_the_server(server: ModelServer) -> None:
    options: Any = {
        "max_new_tokens": 3,
        "temperature": 2.0,
        "top_p": 0.9,
        "top_k": 1,
        "seed": 7,
        "repetition_penalty": 1.5,
        "stop": ["zebra"],
    }
    answer = remote(server).ask(QUESTION, videos=[DEMO_VIDEO], **options)
    assert (answer.usage.new_tokens, answer.finish_reason) == (3, "length")
    (request,) = server.requests
    wanted = {"max_tokens": 3, **{name: value for name, value in options.items() if name != "max_new_tokens"}}
    assert {name: request[name] for name in wanted} == wanted
    remote(server).ask(QUESTION, videos=[DEMO_VIDEO])
    assert set(server.requests[-1]) == {"messages", "model", "stream", "stream_options", "max_tokens", "temperature"}


def test_stop_strings_hold_whether_the_server_knows_them_or_not(server: ModelServer, builtin_qa: VideoQA) -> None:
    here = builtin_qa.ask(QUESTION, videos=[DEMO_VIDEO], stop=["moving"])
    there = remote(server).ask(QUESTION, videos=[DEMO_VIDEO], stop=["moving"])
    assert (there.text, there.finish_reason) == (here.text, "stop")

    def forget() -> None:  # as servers do that take fewer or shorter ones
        server.requests[-1].pop("stop")

    server.before_answer = forget
    *pieces, answer = remote(server).stream(QUESTION, videos=[DEMO_VIDEO], stop=["moving"])
    assert isinstance(answer, VideoAnswer)
    assert "".join(map(str, pieces)) == answer.text == here.text
    assert (answer.finish_reason, answer.usage.new_tokens) == ("stop", None)


def test_time_runs_out(server: ModelServer) -> None:
    done = threading.Event()
    sent: list[int] = []

    def hang() -> None:
        sent.append(1)
        if len(sent) > 3:
            done.wait(TOGETHER)

    server.before_piece = hang
    answer = remote(server).ask(QUESTION, videos=[DEMO_VIDEO], max_seconds=1.0)
    done.set()
    assert (answer.text, answer.finish_reason, answer.usage.new_tokens) == ("A red circle", "time", None)


def test_servers_that_know_max_completion_tokens_alone(server: ModelServer) -> None:
    told = {"message": "Use max_completion_tokens.", "param": "max_tokens", "code": "unsupported_parameter"}
    server.failures.append(Failure(400, told))
    qa = remote(server)
    for _ in range(2):
        assert qa.ask(QUESTION, videos=[DEMO_VIDEO], max_new_tokens=4).usage.new_tokens == 4
    limits = [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in server.requests]
    assert limits == [(4, None), (None, 4), (None, 4)]


def test_choices_are_refused_before_anything_is_fetched(server: ModelServer, tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="choices"):
        remote(server).ask(QUESTION, videos=[tmp_path / "missing.mp4"], choices=["yes", "no"])
    conversation = remote(server).conversation(videos=[DEMO_VIDEO])
    conversation.ask(QUESTION)
    with pytest.raises(QuestionError, match="choices"):
        conversation.ask(QUESTION, choices=["yes", "no"])


def test_where_the_server_is(server: ModelServer, builtin_qa: VideoQA, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(num_frames=6, model="openai:small", base_url=server.base_url)
    assert VideoQA(settings=settings).ask(QUESTION, videos=[DEMO_VIDEO]).text
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    assert VideoQA("openai:small").ask(QUESTION, videos=[DEMO_VIDEO]).text
    with serve_model(builtin_qa, name="other") as other:
        assert remote(other, settings=settings).ask(QUESTION, videos=[DEMO_VIDEO]).text
        assert len(other.requests) == 1


def test_the_key(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    remote(server).ask(QUESTION, videos=[DEMO_VIDEO])  # none is asked for
    server.api_key = "sesame"
    remote(server, api_key="sesame").ask(QUESTION, videos=[DEMO_VIDEO])
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    remote(server).ask(QUESTION, videos=[DEMO_VIDEO])
    assert server.keys == ["Bearer none", "Bearer sesame", "Bearer sesame"]
    assert "sesame" not in repr(RemoteOptions(api_key="sesame"))
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelError, match="no key"):
        VideoQA("openai:small").load()


def test_the_models_of_a_server(server: ModelServer) -> None:
    model = OpenAIModel("openai:any", RemoteOptions(base_url=server.base_url))
    assert model.models() == ("small",)


@pytest.mark.parametrize(
    "arguments",
    [
        {"base_url": "127.0.0.1:8000"},
        {"base_url": "file:///etc"},
        {"timeout": 0},
        {"max_retries": -1},
        {"video_format": "gif"},
        {"device": "cpu"},
        {"revision": "main"},
    ],
)
def test_arguments_that_make_no_sense(arguments: Any) -> None:
    with pytest.raises(ModelError, match=next(iter(arguments))):
        VideoQA("openai:small", **{"base_url": "http://127.0.0.1:1/v1", **arguments}).load()


def test_arguments_of_models_of_another_kind() -> None:
    with pytest.raises(ModelError, match="base_url"):
        VideoQA("builtin", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(QuestionError, match="names no model"):
        VideoQA("openai:", base_url="http://127.0.0.1:1/v1").load()


def test_neither_torch_nor_transformers_is_imported_for_it(server: ModelServer) -> None:
    code = (
        "import sys; from video_tool import VideoQA; from video_tool.builtin import DEMO_VIDEO\n"
        f"qa = VideoQA('openai:small', base_url={server.base_url!r})\n"
        "assert 'openai' not in sys.modules\n"
        f"print(qa.ask({QUESTION!r}, videos=[DEMO_VIDEO], num_frames=6).text)\n"
        "assert not {'torch', 'transformers', 'huggingface_hub', 'yt_dlp'} & sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=DEMO_VIDEO.parent,
        env=unmeasured(),
    )
    assert (done.stdout, done.stderr) == ("A red circle is first moving right, then growing.\n", "")


def test_the_package_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)  # as Python itself marks what can't be imported
    with pytest.raises(MissingDependencyError) as caught:
        VideoQA("openai:small", base_url="http://127.0.0.1:1/v1").load()
    assert "video-tool[openai]" in caught.value.hint


class Spelled(BaseModel):
    """What a random-weight model can be held to."""

    cats: int = Field(ge=0, le=9)


def test_structured_answers_and_likelihoods_are_asked_of_the_server(checkpoint: Path) -> None:
    here = VideoQA(checkpoint, device="cpu")
    options: Any = {"response_format": Spelled, "logprobs": True, "top_logprobs": 2, "max_new_tokens": 40}
    given = FrameSequence(np.full((2, 44, 44, 3), 40, np.uint8), fps=1)
    with serve_model(here) as server:
        there = remote(server).ask("How many cats?", [given], **options)
        request = server.requests[-1]
    assert request["response_format"]["json_schema"]["strict"] is True
    assert (request["logprobs"], request["top_logprobs"]) == (True, 2)
    assert isinstance(there.parsed, Spelled)
    assert there.parsed == Spelled.model_validate_json(there.text)
    assert len(there.logprobs) == there.usage.new_tokens
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in there.logprobs)
    assert bytes(byte for token in there.logprobs for byte in token.bytes or ()).decode().strip() == there.text


def test_a_server_that_keeps_likelihoods_to_itself(server: ModelServer) -> None:
    server.keeps_logprobs = True
    with pytest.raises(ServerError, match="does not tell how likely"):
        remote(server).ask(QUESTION, videos=[DEMO_VIDEO], logprobs=True, max_new_tokens=1)


def test_a_conversation_with_a_server_gets_shorter_when_it_says_so(server: ModelServer) -> None:
    talk = remote(server).conversation([DEMO_VIDEO], num_frames=6)
    talk.ask(QUESTION)
    talk.ask(QUESTION)
    before = len(server.requests)
    full = Failure(400, {"message": "This model's maximum context length is 2 tokens.", "code": 400})
    server.failures += [full]
    third = talk.ask(QUESTION)
    assert "1 of the oldest turns is left out" in third.warnings[-1]
    rows = [len(request["messages"]) for request in server.requests[before:]]
    assert rows == [5, 3]
    server.failures += [full]
    *_, last = talk.stream(QUESTION)
    assert isinstance(last, VideoAnswer)
    assert last.frames == third.frames
    assert "left out" in last.warnings[-1]
    server.failures += [full] * 3
    with pytest.raises(ContextLengthError):
        talk.ask(QUESTION)
    assert talk.ask(QUESTION).text
