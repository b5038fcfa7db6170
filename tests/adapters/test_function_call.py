"""Each provider's own client, against a server of its protocol: the model asks, the tool runs, the model gets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.providers.clients import CLIENTS, Client
from tests.providers.scripted import Result, Seen, ToolCall, serve_script
from video_tool import Settings, Toolbox
from video_tool.adapters import ToolResult, acall, arun_tool_calls, call, run_tool_calls, shared_toolbox, tool_schemas
from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import QuestionError

SAID = "A red circle is first moving right, then growing."
ASK = ToolCall("video_qa", {"question": "What happens in the video?", "videos": [str(DEMO_VIDEO)], "num_frames": 6})
LOOK = ToolCall("video_frames", {"video": str(DEMO_VIDEO), "timestamps": [0.5, 1.5]})
REFUSED = ToolCall("video_probe", {"video": "/etc/hostname"})


@pytest.fixture(scope="module")
def toolbox() -> Toolbox:
    return Toolbox("builtin", settings=Settings(allowed_roots=(DEMO_VIDEO.parent,)))


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    """This process's toolbox, made as these variables say."""
    monkeypatch.setenv("VIDEO_TOOL_MODEL", "builtin")
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", str(DEMO_VIDEO.parent))
    monkeypatch.setenv("VIDEO_TOOL_MAX_CALLS", "1")
    shared_toolbox.cache_clear()
    yield shared_toolbox()
    shared_toolbox.cache_clear()


@pytest.fixture(params=CLIENTS, ids=lambda client: client.provider)
def client(request: pytest.FixtureRequest) -> Client:
    return request.param


def answer_with(seen: Seen) -> str:
    return f"The tool says: {seen.results[0].text}"


def chat(client: Client, url: str, tools: list[dict[str, Any]], toolbox: Toolbox) -> str | None:
    history = [client.user("What happens in the video?")]
    while True:
        answer = client.ask(url, history, tools)
        results = run_tool_calls(client.provider, client.calls(answer), toolbox=toolbox)
        if not results:
            return client.text(answer)
        history += client.turn(answer, results)


async def chat_async(client: Client, url: str, tools: list[dict[str, Any]], toolbox: Toolbox) -> str | None:
    history = [client.user("What happens in the video?")]
    while True:
        answer = await client.ask_async(url, history, tools)
        results = await arun_tool_calls(client.provider, client.calls(answer), toolbox=toolbox)
        if not results:
            return client.text(answer)
        history += client.turn(answer, results)


@pytest.mark.parametrize("strict", [False, True])
def test_the_model_asks_and_gets_the_answer(client: Client, strict: bool, toolbox: Toolbox) -> None:
    tools = tool_schemas(client.provider, strict=strict and client.provider != "gemini")  # which has none
    with serve_script([[ASK], answer_with]) as server:
        said = chat(client, server.url, tools, toolbox)

    told = toolbox.call(ASK.name, ASK.arguments).text
    assert SAID in told
    assert said == f"The tool says: {told}"
    assert set(server.seen[0].tools) == {"video_qa", "video_probe", "video_frames"}
    assert len(server.requests) == 2


def test_and_in_an_event_loop(client: Client, toolbox: Toolbox) -> None:
    with serve_script([[ASK], answer_with]) as server:
        said = asyncio.run(chat_async(client, server.url, tool_schemas(client.provider), toolbox))

    assert said == f"The tool says: {toolbox.call(ASK.name, ASK.arguments).text}"


def test_several_calls_in_one_turn_and_images(client: Client, toolbox: Toolbox) -> None:
    with serve_script([[LOOK, ASK, REFUSED], [LOOK], "Done."]) as server:
        assert chat(client, server.url, tool_schemas(client.provider), toolbox) == "Done."

    frames, answer, refused = (toolbox.call(each.name, each.arguments) for each in (LOOK, ASK, REFUSED))
    first, second = server.seen[1:]
    tells = client.provider in ("anthropic", "gemini")
    assert first.results == [
        Result("video_frames", frames.text, False if tells else None),
        Result("video_qa", answer.text, False if tells else None),
        Result("video_probe", refused.text, True if tells else None),
    ]
    assert second.results == first.results[:1]
    for seen in (first, second):
        assert [image.size for image in seen.images] == [(frame.width, frame.height) for frame in pixels(frames.images)]
        assert [image.tobytes() for image in seen.images] == [frame.tobytes() for frame in pixels(frames.images)]


def pixels(images: Any) -> list[Any]:
    import io

    from PIL import Image

    return [Image.open(io.BytesIO(image.data)) for image in images]


def test_what_the_model_gets_wrong_it_is_told(client: Client, toolbox: Toolbox) -> None:
    wrong = ToolCall("video_probe", {"vidoe": "a.mp4"})
    with serve_script([[wrong], answer_with]) as server:
        said = chat(client, server.url, tool_schemas(client.provider), toolbox)
    assert said == 'The tool says: There is no argument "vidoe": did you mean video?'


@pytest.mark.parametrize("client", CLIENTS[:2], ids=lambda client: client.provider, indirect=True)
def test_arguments_that_are_no_json(client: Client, toolbox: Toolbox) -> None:
    with serve_script([[ToolCall("video_probe", '{"video": ')], answer_with]) as server:
        said = chat(client, server.url, tool_schemas(client.provider), toolbox)
    assert said == "The tool says: The arguments are no JSON: write them as one JSON object."


def test_calls_as_json_are_calls_too(client: Client, toolbox: Toolbox) -> None:
    """For those who post requests by themselves."""
    with serve_script([[LOOK, REFUSED]]) as server:
        given = client.calls(client.ask(server.url, [client.user("?")], tool_schemas(client.provider)))
    posted = [json.loads(each.model_dump_json()) for each in given]

    results = run_tool_calls(client.provider, posted, toolbox=toolbox)
    assert results == run_tool_calls(client.provider, given, toolbox=toolbox)
    assert json.loads(json.dumps(results)) == results


def test_no_calls_are_no_results(client: Client, toolbox: Toolbox) -> None:
    assert run_tool_calls(client.provider, None, toolbox=toolbox) == []
    assert asyncio.run(arun_tool_calls(client.provider, [], toolbox=toolbox)) == []
    with serve_script(["Hello."]) as server:
        answer = client.ask(server.url, [client.user("Hello?")], tool_schemas(client.provider))
    assert run_tool_calls(client.provider, client.calls(answer), toolbox=toolbox) == []


def test_without_a_toolbox_it_is_the_process_one(client: Client, shared: Toolbox) -> None:
    with serve_script([[ASK], "Done."]) as server:
        given = client.calls(client.ask(server.url, [client.user("?")], tool_schemas(client.provider)))
    assert SAID in str(run_tool_calls(client.provider, given))
    assert "engine" in shared.__dict__


def test_a_call_by_name(shared: Toolbox) -> None:
    result = call(ASK.name, json.dumps(ASK.arguments))
    assert SAID in result.text
    assert "engine" in shared.__dict__
    assert asyncio.run(acall(ASK.name, ASK.arguments)).text == result.text


def test_a_call_by_name_is_heard_of_and_has_a_deadline(shared: Toolbox) -> None:
    late: list[ToolResult] = []

    def call_meanwhile(_news: object) -> None:
        if not late:  # the one call that may be worked on at once is still at it
            late.append(call(ASK.name, ASK.arguments, seconds=0.01))

    assert call(ASK.name, ASK.arguments, on_progress=call_meanwhile).error is None
    assert [result.error and result.error.code for result in late] == ["deadline"]
    late.clear()
    assert asyncio.run(acall(ASK.name, ASK.arguments, on_progress=call_meanwhile, seconds=60)).error is None
    assert len(late) == 1


def test_a_provider_that_there_is_not_is_named(toolbox: Toolbox) -> None:
    with pytest.raises(QuestionError, match="no provider mcp") as error:
        run_tool_calls("mcp", [], toolbox=toolbox)  # type: ignore[arg-type]
    assert error.value.hint == "There are openai, openai-responses, anthropic, gemini"
    with pytest.raises(QuestionError, match="no provider mcp"):
        asyncio.run(arun_tool_calls("mcp", [], toolbox=toolbox))  # type: ignore[arg-type]
