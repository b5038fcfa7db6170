"""The scripted model is as strict as the providers are, and streams."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import errors
from openai import OpenAI

from tests.providers.clients import CLIENTS, Client
from tests.providers.rules import check_anthropic_strict, check_gemini, check_openai_strict
from tests.providers.scripted import MalformedError, ToolCall, Turn, serve_script
from video_tool.adapters import TOOLS, tool_schema, tool_schemas

REFUSED = (openai.BadRequestError, anthropic.BadRequestError, errors.ClientError)
PROBE = ToolCall("video_probe", {"video": "a.mp4"})


@pytest.fixture(params=CLIENTS, ids=lambda client: client.provider)
def client(request: pytest.FixtureRequest) -> Client:
    return request.param


def refused(client: Client, turns: list[Turn], history: list[Any], tools: list[dict[str, Any]]) -> str:
    with serve_script(turns) as server, pytest.raises(REFUSED) as error:
        client.ask(server.url, history, tools)
    return str(error.value)


def changed(tools: list[dict[str, Any]], change: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
    told = deepcopy(tools)
    change(told[0]["functionDeclarations"][0] if "functionDeclarations" in told[0] else told[0])
    return told


def test_a_call_without_its_result_is_refused(client: Client) -> None:
    tools, history = tool_schemas(client.provider), [client.user("?")]
    with serve_script([[PROBE]]) as server:
        history += client.turn(client.ask(server.url, history, tools), [])
    history = [turn for turn in history if turn not in ({"role": "user", "content": []}, {"role": "user", "parts": []})]
    message = refused(client, ["Never."], [*history, client.user("And?")], tools)
    assert "did not have" in message or "one output" in message or "immediately after" in message or "equal" in message


def test_schemas_of_another_provider_are_refused(client: Client) -> None:
    other: dict[str, Any] = {
        "openai": "anthropic",
        "anthropic": "openai",
        "openai-responses": "openai",
        "gemini": "mcp",
    }
    history = [client.user("?")]
    tools = tool_schemas(other[client.provider])
    if client.provider == "gemini":  # whose client refuses other keys by itself
        tools = changed(tool_schemas("gemini"), lambda tool: tool["parameters"].update(additionalProperties=False))
    assert refused(client, ["Never."], history, tools)


def test_the_script_calls_what_is_offered(client: Client) -> None:
    message = refused(client, [[PROBE]], [client.user("?")], tool_schemas(client.provider, ["video_qa"]))
    assert "the script calls video_probe; offered are video_qa" in message


@pytest.mark.parametrize("client", CLIENTS[:3], ids=lambda client: client.provider, indirect=True)
def test_a_strict_call_fits(client: Client) -> None:
    wrong = ToolCall("video_probe", {"video": 3})
    message = refused(client, [[wrong]], [client.user("?")], tool_schemas(client.provider, strict=True))
    assert "does not fit" in message


def test_a_script_ends(client: Client) -> None:
    assert "the script has 0 turns" in refused(client, [], [client.user("?")], tool_schemas(client.provider))


@pytest.mark.parametrize("tool", ["video_qa", "video_frames"])
def test_what_pydantic_says_is_strict_for_nobody(tool: str) -> None:
    schema = TOOLS[tool].arguments.model_json_schema()
    with pytest.raises(MalformedError):
        check_openai_strict(schema)
    with pytest.raises(MalformedError):
        check_anthropic_strict([schema])
    with pytest.raises(MalformedError):
        check_gemini({"functionDeclarations": [{"name": tool, "parameters": schema}]})


def test_the_limits_of_anthropic() -> None:
    schema = tool_schema("anthropic")["input_schema"]
    check_anthropic_strict([schema] * 4)
    with pytest.raises(MalformedError, match=r"too many optional parameters \(30\)"):
        check_anthropic_strict([schema] * 5)
    with pytest.raises(MalformedError, match="21 strict tools"):
        check_anthropic_strict([tool_schema("anthropic", "video_probe")["input_schema"]] * 21)
    many = {f"p{number}": {"anyOf": [{"type": "null"}, {"type": "number"}]} for number in range(17)}
    with pytest.raises(MalformedError, match=r"union types \(17\)"):
        check_anthropic_strict(
            [{"type": "object", "properties": many, "additionalProperties": False, "required": list(many)}]
        )


SCRIPT: list[Turn] = [[PROBE, PROBE], "It is short."]


def test_chat_completions_are_streamed() -> None:
    with serve_script(SCRIPT) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none") as openai_client:
        history: list[Any] = [{"role": "user", "content": "?"}]
        with openai_client.chat.completions.stream(
            model="scripted",
            messages=history,
            tools=tool_schemas("openai"),  # type: ignore[arg-type]
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        calls = message.tool_calls
        assert calls is not None
        assert [call.function.arguments for call in calls] == ['{"video": "a.mp4"}'] * 2
        history += [message, *({"role": "tool", "tool_call_id": call.id, "content": "1 s"} for call in calls)]
        with openai_client.chat.completions.stream(model="scripted", messages=history) as stream:
            pieces = [event.delta for event in stream if event.type == "content.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == "It is short."


def test_responses_are_streamed() -> None:
    with serve_script(SCRIPT) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none") as openai_client:
        history: list[Any] = [{"role": "user", "content": "?"}]
        with openai_client.responses.stream(
            model="scripted",
            input=history,
            tools=tool_schemas("openai-responses"),  # type: ignore[arg-type]
        ) as stream:
            calls: list[Any] = stream.get_final_response().output
        assert [call.arguments for call in calls] == ['{"video": "a.mp4"}'] * 2
        for call in calls:  # with outputs in between, as some agents have them
            told = {key: getattr(call, key) for key in ("type", "call_id", "name", "arguments")}
            history += [told, {"type": "function_call_output", "call_id": call.call_id, "output": "1 s"}]
        with openai_client.responses.stream(model="scripted", input=history) as stream:
            assert stream.get_final_response().output_text == "It is short."


def test_messages_are_streamed() -> None:
    with serve_script(SCRIPT) as server, Anthropic(base_url=server.url, api_key="none") as anthropic_client:
        history: list[Any] = [{"role": "user", "content": "?"}]
        with anthropic_client.messages.stream(
            model="scripted",
            max_tokens=9,
            messages=history,
            tools=tool_schemas("anthropic"),  # type: ignore[arg-type]
        ) as stream:
            content: list[Any] = stream.get_final_message().content
        assert [block.input for block in content] == [{"video": "a.mp4"}] * 2
        results = [{"type": "tool_result", "tool_use_id": block.id, "content": "1 s"} for block in content]
        history += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
        with anthropic_client.messages.stream(model="scripted", max_tokens=9, messages=history) as stream:
            assert "".join(stream.text_stream) == "It is short."


def test_contents_are_streamed() -> None:
    with (
        serve_script(["It is short."]) as server,
        genai.Client(api_key="none", http_options={"base_url": server.url}) as google,  # type: ignore[arg-type]
    ):
        chunks = google.models.generate_content_stream(model="scripted", contents="?")
        assert "".join(chunk.text or "" for chunk in chunks) == "It is short."
