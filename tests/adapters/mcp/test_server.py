"""What the server shows of the tools, to the SDK's own client in the same process."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import jsonschema
import pytest
from mcp.shared.exceptions import MCPError
from PIL import Image

from tests.mcp_clients import ThroughClient, connected
from video_tool.adapters import TOOLS, Toolbox
from video_tool.adapters.mcp.server import ToolServer
from video_tool.adapters.schemas import tool_schemas
from video_tool.testing import Bench, SurfaceTests


@pytest.fixture(scope="module", params=["legacy", "auto"], ids=["handshake", "newest"])
def surface(request: pytest.FixtureRequest, bench: Bench) -> Iterator[ThroughClient]:
    server = ToolServer(bench.toolbox, version="1.2.3", lists_frames=True).server
    with connected(server, request.param) as through:
        yield through


Ask = Callable[..., Any]


@pytest.fixture
def ask(surface: ThroughClient) -> Ask:
    return surface.ask


class TestServer(SurfaceTests):
    """The conformance kit."""


def test_the_tools_are_those_of_the_definition(ask: Ask) -> None:
    shown = [tool.model_dump(by_alias=True, exclude_none=True) for tool in ask("list_tools").tools]
    assert shown == tool_schemas("mcp")
    for tool in shown:
        jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
        jsonschema.Draft202012Validator.check_schema(tool["outputSchema"])


@pytest.mark.parametrize("name", list(TOOLS))
def test_results_and_errors_fit_the_output_schema(ask: Ask, bench: Bench, name: str) -> None:
    schema = next(tool for tool in ask("list_tools").tools if tool.name == name).output_schema
    video = bench.requests["a range of time"]["videos"][0]
    good = {"question": "What happens?", "videos": [video]} if name == "video_qa" else {"video": video}
    for arguments, fails in ((good, False), ({"vide": video}, True)):
        result = ask("call_tool", name, arguments)
        assert result.is_error is fails
        jsonschema.validate(result.structured_content, schema)
        expected = bench.toolbox.call(name, arguments)
        assert result.content[0].text == expected.text
        if name != "video_qa" or fails:  # an answer tells how long it took
            assert result.structured_content == expected.readable
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"words": "of neither kind"}, schema)


def test_an_error_tells_code_and_what_to_do(ask: Ask) -> None:
    result = ask("call_tool", "video_qa", {"question": "What?", "videos": ["/etc/passwd"]})
    assert result.is_error
    assert result.structured_content["code"] == "source_refused"
    assert result.content[0].text == result.structured_content["message"]
    assert "passwd" not in result.content[0].text


def test_frames_come_as_images_and_can_be_read_again(ask: Ask, bench: Bench) -> None:
    arguments = {"video": bench.requests["a range of time"]["videos"][0], "num_frames": 3}
    content = ask("call_tool", "video_frames", arguments).content
    assert [block.type for block in content] == ["text", *["image"] * 3, *["resource_link"] * 3]
    images, links = content[1:4], content[4:]
    for image, link in zip(images, links, strict=True):
        assert Image.open(BytesIO(b64decode(image.data))).size == (128, 96)
        (read,) = ask("read_resource", link.uri).contents
        assert (read.blob, read.mime_type, read.uri) == (image.data, image.mime_type, link.uri)
        assert link.size == len(b64decode(image.data))
    listed = [resource.uri for resource in ask("list_resources", cache_mode="bypass").resources]
    assert set(listed) >= {link.uri for link in links}
    (template,) = ask("list_resource_templates").resource_templates
    assert links[0].uri.startswith(template.uri_template.partition("{")[0])


def test_frames_are_not_listed_to_clients_that_share_the_server(bench: Bench) -> None:
    server = ToolServer(bench.toolbox, version="1", lists_frames=False).server
    arguments = {"video": bench.requests["a range of time"]["videos"][0], "num_frames": 1}
    with connected(server) as one, connected(server) as other:
        link = one.ask("call_tool", "video_frames", arguments).content[-1]
        assert other.ask("list_resources").resources == []
        assert other.ask("read_resource", link.uri).contents[0].mime_type == "image/jpeg"


def test_what_is_not_there_is_an_error_of_the_protocol(ask: Ask) -> None:
    for method, args in (
        ("call_tool", ("no_such_tool", {})),
        ("read_resource", ("video-tool://frames/none/0",)),
        ("get_prompt", ("no_such_prompt", {"video": "x"})),
        ("get_prompt", ("watch_video", {})),
    ):
        with pytest.raises(MCPError) as caught:
            ask(method, *args)
        assert caught.value.code == -32602


def test_the_prompt_names_the_tool_the_video_and_the_question(ask: Ask) -> None:
    (prompt,) = ask("list_prompts").prompts
    assert [(argument.name, argument.required) for argument in prompt.arguments] == [
        ("video", True),
        ("question", False),
    ]
    given = {"video": "https://example.org/a.mp4", "question": "Who wins?"}
    (message,) = ask("get_prompt", prompt.name, given).messages
    assert all(words in message.content.text for words in ("video_qa", *given.values()))
    (message,) = ask("get_prompt", prompt.name, {"video": "https://example.org/a.mp4"}).messages
    assert "What happens in the video?" in message.content.text


def test_it_says_who_it_is(surface: ThroughClient) -> None:
    assert surface.client.server_info is not None
    assert (surface.client.server_info.name, surface.client.server_info.version) == ("video-tool", "1.2.3")
    assert surface.client.instructions is not None
    assert "video_qa" in surface.client.instructions


def test_progress_is_told_in_order_to_those_who_ask(bench: Bench) -> None:
    told: list[tuple[float, str]] = []

    async def hear(progress: float, _total: float | None, message: str | None) -> None:
        told.append((progress, message or ""))

    # an engine of its own: what takes long enough to tell of is to load the model
    server = ToolServer(Toolbox(settings=bench.settings), version="1", lists_frames=True).server
    with connected(server) as through:
        through.ask("call_tool", "video_qa", bench.requests["two videos"], progress_callback=hear)
    assert told
    assert [progress for progress, _ in told] == sorted({progress for progress, _ in told})
    assert all(message for _, message in told)


class Broken(Toolbox):
    """With a mistake in it."""

    def call(self, *args: Any, **options: Any) -> Any:
        raise RuntimeError("/home/somebody/secret")


def test_a_mistake_of_ours_is_logged_and_not_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    server = ToolServer(Broken(settings=bench.settings), version="1", lists_frames=True).server
    with connected(server) as through, pytest.raises(MCPError, match="Internal error") as caught:
        through.ask("call_tool", "video_qa", {"question": "What?"})
    assert "secret" not in str(caught.value.error)
    assert "secret" in caplog.text


LISTING = """
import asyncio, sys
from mcp.client.client import Client
from video_tool.adapters import shared_toolbox
from video_tool.adapters.mcp.server import ToolServer
from video_tool.adapters.schemas import tool_schemas
async def main():
    async with Client(ToolServer(shared_toolbox(), version="", lists_frames=True).server) as client:
        print(len((await client.list_tools()).tools))
asyncio.run(main())
print({"torch", "transformers", "decord", "av", "yt_dlp"} & set(sys.modules))
"""


def test_listing_the_tools_loads_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(TOOLS)}\nset()\n"
