"""The conformance kit through each provider's calls."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from video_tool.adapters import Provider, Toolbox, ToolResult, arun_tool_calls, run_tool_calls
from video_tool.testing import Bench, Outcome, Surface, SurfaceTests, cancel_task


def made(provider: Provider, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """A call as the provider's JSON has it."""
    text = json.dumps(arguments)
    calls: dict[Provider, dict[str, Any]] = {
        "openai": {"id": "1", "type": "function", "function": {"name": "video_qa", "arguments": text}},
        "openai-responses": {"type": "function_call", "call_id": "1", "name": "video_qa", "arguments": text},
        "anthropic": {"type": "tool_use", "id": "1", "name": "video_qa", "input": arguments},
        "gemini": {"name": "video_qa", "args": arguments},
    }
    return [calls[provider]]


def words(provider: Provider, result: dict[str, Any]) -> str:
    """What the model reads of what goes back."""
    if provider == "openai":
        return result["content"]
    if provider == "openai-responses":
        return result["output"]
    if provider == "anthropic":
        return result["content"][0]["text"]
    (text,) = result["functionResponse"]["response"].values()
    return text


class Calls(Surface):
    def __init__(self, provider: Provider, toolbox: Toolbox) -> None:
        self.provider: Provider = provider
        self.toolbox = toolbox

    def call(self, arguments: dict[str, Any]) -> Outcome:
        heard: list[ToolResult] = []
        (back,) = run_tool_calls(
            self.provider,
            made(self.provider, arguments),
            toolbox=self.toolbox,
            on_result=lambda _name, result: heard.append(result),
        )
        return told(self.provider, back, heard)


class AwaitedCalls(Calls):
    def call(self, arguments: dict[str, Any]) -> Outcome:
        heard: list[ToolResult] = []
        (back,) = asyncio.run(
            arun_tool_calls(
                self.provider,
                made(self.provider, arguments),
                toolbox=self.toolbox,
                on_result=lambda _name, result: heard.append(result),
            )
        )
        return told(self.provider, back, heard)

    def cancel(self, arguments: dict[str, Any], begun: threading.Event) -> str | None:
        calls = made(self.provider, arguments)
        cancel_task(lambda: arun_tool_calls(self.provider, calls, toolbox=self.toolbox), begun)
        return None


def told(provider: Provider, back: dict[str, Any], heard: list[ToolResult]) -> Outcome:
    whole = Outcome.of(heard[0])
    return Outcome(words(provider, back), whole.content, whole.error_code)


class TestOpenAI(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Calls("openai", bench.toolbox)


class TestOpenAIResponses(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return AwaitedCalls("openai-responses", bench.toolbox)


class TestAnthropic(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return Calls("anthropic", bench.toolbox)


class TestGemini(SurfaceTests):
    @pytest.fixture
    def surface(self, bench: Bench) -> Surface:
        return AwaitedCalls("gemini", bench.toolbox)
