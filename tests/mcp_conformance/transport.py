"""The tools, resources and prompts of the official conformance suite, on the transport of `video-tool mcp`."""

from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from io import BytesIO

from mcp import types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from PIL import Image
from pydantic import BaseModel, Field

from video_tool.adapters.mcp.http import address_of, http_app, listen, serve_http

_png = BytesIO()
Image.new("RGB", (1, 1), "red").save(_png, "PNG")
PICTURE = types.ImageContent(data=b64encode(_png.getvalue()).decode(), mime_type="image/png")
SILENCE = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\0\0\0"

server = MCPServer("conformance")


def text(words: str) -> types.TextContent:
    return types.TextContent(text=words)


def embedded(uri: str, words: str) -> types.EmbeddedResource:
    contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text=words)
    return types.EmbeddedResource(resource=contents)


def reply(*content: types.ContentBlock) -> types.CallToolResult:
    return types.CallToolResult(content=list(content))


@server.tool(description="As the suite describes it.")
def test_simple_text() -> types.CallToolResult:
    return reply(text("Plain words."))


@server.tool(description="As the suite describes it.")
def test_image_content() -> types.CallToolResult:
    return reply(PICTURE)


@server.tool(description="As the suite describes it.")
def test_audio_content() -> types.CallToolResult:
    return reply(types.AudioContent(data=b64encode(SILENCE).decode(), mime_type="audio/wav"))


@server.tool(description="As the suite describes it.")
def test_embedded_resource() -> types.CallToolResult:
    return reply(embedded("test://embedded-resource", "Something embedded."))


@server.tool(description="As the suite describes it.")
def test_multiple_content_types() -> types.CallToolResult:
    return reply(text("Several:"), PICTURE, embedded("test://mixed-content-resource", "{}"))


@server.tool(description="As the suite describes it.")
def test_error_handling() -> types.CallToolResult:
    return types.CallToolResult(content=[text("It fails, as it should.")], is_error=True)


@server.tool(description="As the suite describes it.")
async def test_tool_with_progress(context: Context) -> types.CallToolResult:
    for done in (0, 50, 100):
        await context.report_progress(done, 100)
    return reply(text("Done."))


@server.tool(description="As the suite describes it.")
async def test_sampling(prompt: str, context: Context) -> types.CallToolResult:
    message = types.SamplingMessage(role="user", content=text(prompt))
    answer = await context.session.create_message([message], max_tokens=100, related_request_id=context.request_id)
    return reply(text(f"It said: {answer.content}"))


class Person(BaseModel):
    username: str = Field(description="A name.")
    email: str = Field(description="An address.")


@server.tool(description="As the suite describes it.")
async def test_elicitation(message: str, context: Context) -> types.CallToolResult:
    return reply(text(str(await context.elicit(message, Person))))


async def _elicit(context: Context, properties: dict[str, object]) -> types.CallToolResult:
    schema = {"type": "object", "properties": properties, "required": []}
    answer = await context.session.elicit_form("Choose.", schema, related_request_id=context.request_id)
    return reply(text(f"{answer.action}: {answer.content}"))


@server.tool(description="As the suite describes it.")
async def test_elicitation_sep1034_defaults(context: Context) -> types.CallToolResult:
    return await _elicit(
        context,
        {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        },
    )


@server.tool(description="As the suite describes it.")
async def test_elicitation_sep1330_enums(context: Context) -> types.CallToolResult:
    titled = [{"const": f"value{number}", "title": f"Number {number}"} for number in (1, 2, 3)]
    plain = ["option1", "option2", "option3"]
    return await _elicit(
        context,
        {
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
        },
    )


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    return "Some text."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    return _png.getvalue()


@server.resource("test://template/{id}/data", mime_type="text/plain")
def template(id: str) -> str:  # noqa: A002 — the suite's name
    return f"Data of {id}."


def said(*content: types.ContentBlock) -> list[Message]:
    return [UserMessage(block) for block in content]


@server.prompt(description="As the suite describes it.")
def test_simple_prompt() -> list[Message]:
    return said(text("A simple prompt."))


@server.prompt(description="As the suite describes it.")
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[Message]:
    return said(text(f"With {arg1} and {arg2}."))


@server.prompt(description="As the suite describes it.")
def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803 — the suite's name
    return said(embedded(resourceUri, "Something embedded."), text("Process it."))


@server.prompt(description="As the suite describes it.")
def test_prompt_with_image() -> list[Message]:
    return said(PICTURE, text("Look at it."))


if __name__ == "__main__":
    with listen("127.0.0.1", 0, has_token=False) as listening:
        sys.stderr.write(f"serving at {address_of(listening)}\n")
        sys.stderr.flush()
        asyncio.run(serve_http(http_app(server, hosts=(), token=None), listening))
