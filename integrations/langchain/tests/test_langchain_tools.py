"""The tools as LangChain calls them: what comes back, what is bound, and what can be configured."""

from __future__ import annotations

import json
import pickle
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import langchain_core
import pytest
from langchain_core.load import dumpd, dumps
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_video_tool import VideoFramesTool, VideoProbeTool, VideoQATool, VideoToolCallError, VideoToolkit
from packaging.version import Version
from PIL import Image
from pydantic import ValidationError
from scripted import calling

from video_tool import Settings, VideoAnswer
from video_tool.adapters import TOOLS, FramesResult, ProbeResult, ToolError, shared_toolbox


def call(tool: BaseTool, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "name": tool.name, "id": "call_1", "args": arguments}


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_for_the_model_and_all_of_it_for_programs(tool: VideoQATool, circle: str) -> None:
    message = tool.invoke(call(tool, question="What colour is it?", videos=[circle]))
    assert isinstance(message, ToolMessage)
    assert (message.status, message.tool_call_id, message.name) == ("success", "call_1", "video_qa")
    assert "It is red." in message.text
    assert isinstance(message.artifact, VideoAnswer)
    assert message.artifact.text == "It is red."
    assert len(message.artifact.frames) == 8


async def test_the_same_from_a_task(tool: VideoQATool, circle: str) -> None:
    asked = call(tool, question="What colour is it?", videos=[circle])
    awaited, waited = await tool.ainvoke(asked), tool.invoke(asked)
    assert awaited.content == waited.content
    assert awaited.artifact.frames == waited.artifact.frames


def test_arguments_alone_give_the_words_alone(tool: VideoQATool, circle: str) -> None:
    words = tool.invoke({"question": "What colour is it?", "videos": [circle]})
    assert isinstance(words, str)
    assert "It is red." in words


def test_a_text_is_the_first_argument(kit: VideoToolkit, circle: str) -> None:
    assert VideoProbeTool(toolbox=kit.toolbox).invoke(circle).startswith("2.00 s long, 128×96 pixels")


def test_a_probe(kit: VideoToolkit, circle: str) -> None:
    tool = VideoProbeTool(toolbox=kit.toolbox)
    message = tool.invoke(call(tool, video=circle))
    assert isinstance(message.artifact, ProbeResult)
    assert message.artifact.video is not None
    assert message.artifact.video.total_frames == 30


def test_frames_are_image_blocks(kit: VideoToolkit, circle: str) -> None:
    tool = VideoFramesTool(toolbox=kit.toolbox)
    message = tool.invoke(call(tool, video=circle, num_frames=2))
    text, *images = message.content_blocks
    assert text["type"] == "text"
    assert [image["mime_type"] for image in images] == ["image/jpeg"] * 2
    assert all(Image.open(BytesIO(b64decode(image["base64"]))).size == (128, 96) for image in images)
    assert isinstance(message.artifact, FramesResult)
    assert [frame.timestamp for frame in message.artifact.frames] == [0.0, 1.0]


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"question": "What?", "video": "a.mp4"}, "question", "did you mean videos?"),
    ({"videos": ["a.mp4"]}, "question", "question is missing"),
    ({"question": "What?", "videos": ["/etc/passwd"]}, "source_refused", "is not allowed"),
    ({"question": "What?", "videos": ["a.mp4"], "num_frames": "many"}, "question", "num_frames is"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), _WRONG)
async def test_errors_tell_the_model_what_to_do_and_programs_their_code(
    tool: VideoQATool, arguments: dict[str, Any], code: str, words: str
) -> None:
    for message in (tool.invoke(call(tool, **arguments)), await tool.ainvoke(call(tool, **arguments))):
        assert isinstance(message, ToolMessage)
        assert (message.status, message.tool_call_id, message.name) == ("error", "call_1", "video_qa")
        assert words in message.text
        assert isinstance(message.artifact, ToolError)
        assert message.artifact.code == code
        assert message.artifact.message == message.text


def test_an_error_without_a_tool_call_is_words(tool: VideoQATool) -> None:
    assert "is not allowed" in tool.invoke({"question": "What?", "videos": ["/etc/passwd"]})


def test_null_is_what_is_taken_by_default(tool: VideoQATool, circle: str) -> None:
    left_out = dict.fromkeys(("images", "start", "end", "num_frames", "max_new_tokens"))
    message = tool.invoke(call(tool, question="What colour is it?", videos=[circle], **left_out))
    assert message.status == "success"


def test_errors_raise_where_they_are_not_handled(kit: VideoToolkit) -> None:
    tool = VideoQATool(toolbox=kit.toolbox, handle_tool_error=False)
    with pytest.raises(VideoToolCallError, match="not allowed") as caught:
        tool.invoke(call(tool, question="What?", videos=["/etc/passwd"]))
    assert isinstance(caught.value, ToolException)
    assert caught.value.error.code == "source_refused"


def test_errors_in_words_of_ones_own_keep_their_code(kit: VideoToolkit) -> None:
    def handle(error: ToolException) -> str:
        assert isinstance(error, VideoToolCallError)
        return f"code {error.error.code}"

    for handler, words in (("Try another.", "Try another."), (handle, "code source_refused")):
        tool = VideoQATool(toolbox=kit.toolbox, handle_tool_error=handler)
        message = tool.invoke(call(tool, question="What?", videos=["/etc/passwd"]))
        assert (message.status, message.text) == ("error", words)
        assert message.artifact.code == "source_refused"


async def test_errors_in_programs_raise(clips: Path, circle: str) -> None:
    tool = VideoQATool(model="builtin", allowed_roots=(clips,), options={"colour": "red"})
    asked = call(tool, question="What?", videos=[circle])
    with pytest.raises(TypeError, match="no option 'colour'"):
        tool.invoke(asked)
    with pytest.raises(TypeError, match="no option 'colour'"):
        await tool.ainvoke(asked)


# ── What chat models are bound with ──────────────────────────────────────────────────────────────────────────────────


STRICT = pytest.mark.skipif(
    Version(langchain_core.__version__) < Version("1.6"), reason="LangChain requires all arguments from 1.6 on"
)


@pytest.mark.parametrize("kind", [VideoQATool, VideoProbeTool, VideoFramesTool])
@pytest.mark.parametrize("strict", [None, pytest.param(True, marks=STRICT)])
def test_chat_models_are_bound_with_what_providers_take(kind: type[BaseTool], strict: bool | None) -> None:
    tool = kind()
    function = convert_to_openai_tool(tool, strict=strict)["function"]
    defined = TOOLS[tool.name]
    assert function["name"] == defined.name
    assert function["description"] == defined.description
    written = json.dumps(function)
    assert not [refused for refused in ("$ref", '"default"', '"title"', "minimum", "maximum") if refused in written]
    parameters = function["parameters"]
    assert list(parameters["properties"]) == list(defined.arguments.model_fields)
    for name, content in parameters["properties"].items():
        assert content["description"] == defined.arguments.model_fields[name].description
    if strict:
        assert function["strict"] is True
        assert parameters["required"] == list(parameters["properties"])
        assert parameters["additionalProperties"] is False
    else:
        required = [name for name, field in defined.arguments.model_fields.items() if field.is_required()]
        assert parameters["required"] == required


def test_what_is_bound_is_that_of_a_chat_model() -> None:
    model = calling()
    model.bind_tools([VideoQATool(description="Look at videos.")])
    (bound,) = model.bound
    assert bound["function"]["description"] == "Look at videos."


def test_the_arguments_are_the_definition() -> None:
    tool = VideoQATool()
    assert tool.args_schema is TOOLS["video_qa"].arguments
    assert tool.get_input_schema() is TOOLS["video_qa"].arguments
    assert list(tool.args) == list(TOOLS["video_qa"].arguments.model_fields)


# ── Configuration ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tools_that_are_told_nothing_ask_the_engine_of_the_process() -> None:
    assert VideoQATool().asked() is shared_toolbox()
    assert {tool.asked() for tool in VideoToolkit().get_tools()} == {shared_toolbox()}  # type: ignore[attr-defined]


def test_the_tools_of_a_kit_share_one_engine(kit: VideoToolkit) -> None:
    tools = kit.get_tools()
    assert [tool.name for tool in tools] == list(TOOLS)
    assert {tool.asked() for tool in tools} == {kit.toolbox}  # type: ignore[attr-defined]


def test_roots_and_settings_go_together(tmp_path: Path) -> None:
    settings = Settings(num_frames=3, allowed_roots=(Path("/nowhere"),))
    made = VideoQATool(settings=settings, allowed_roots=(tmp_path,)).asked().settings
    assert made.allowed_roots == (tmp_path,)
    assert made.num_frames == 3
    assert VideoQATool(settings=settings).asked().settings.allowed_roots == (Path("/nowhere"),)
    assert VideoQATool(model="builtin").asked().settings.allowed_roots == ()


def test_a_call_has_a_deadline(kit: VideoToolkit, circle: str) -> None:
    tool = VideoQATool(toolbox=kit.toolbox, timeout=1e-6)
    message = tool.invoke(call(tool, question="What colour is it?", videos=[circle]))
    assert message.artifact.code == "deadline"


def test_an_engine_is_shared_or_described(kit: VideoToolkit) -> None:
    with pytest.raises(ValidationError, match="toolbox comes with its own model"):
        VideoQATool(toolbox=kit.toolbox, model="builtin")


def test_pickles_and_works_after_it(clips: Path, circle: str) -> None:
    tool = VideoQATool(model="builtin", allowed_roots=(clips,), timeout=60)
    asked = call(tool, question="What colour is it?", videos=[circle])
    before = tool.invoke(asked)
    again = pickle.loads(pickle.dumps(tool))
    assert again.invoke(asked).content == before.content
    assert again.timeout == 60


def test_serialised_it_names_itself_and_keeps_secrets() -> None:
    tool = VideoQATool(model="openai:some", options={"base_url": "http://127.0.0.1:1/v1", "api_key": "hush"})
    told = dumpd(tool)
    assert told["id"] == ["langchain_video_tool", "tools", "VideoQATool"]
    assert told["name"] == "video_qa"
    assert "hush" not in dumps(tool) + repr(tool) + str(tool.model_dump(exclude={"args_schema"}))


def test_messages_are_json(tool: VideoQATool, circle: str) -> None:
    for videos in ([circle], ["/etc/passwd"]):
        message = tool.invoke(call(tool, question="What colour is it?", videos=videos))
        written = json.loads(message.model_dump_json())
        assert type(message.artifact).model_validate(written["artifact"]) == message.artifact
