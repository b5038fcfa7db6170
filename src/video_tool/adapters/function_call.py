"""Calls of the tools as providers' models make them: run, and answered in the provider's own form.

Calls come as objects of the provider's SDK, or as the JSON that they were made of; none of the SDKs is imported.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from video_tool.adapters.results import ToolImage, ToolResult
from video_tool.adapters.toolbox import Toolbox, shared_toolbox
from video_tool.errors import QuestionError
from video_tool.progress import OnProgress, ignore_progress

Provider = Literal["openai", "openai-responses", "anthropic", "gemini"]
"""Those of the dialects that models call tools in."""

OnResult = Callable[[str, ToolResult], object]
"""Told of each call's result, with the tool's name before it."""


def call(
    name: str,
    arguments: Mapping[str, Any] | str,
    *,
    on_progress: OnProgress = ignore_progress,
    seconds: float | None = None,
) -> ToolResult:
    """`Toolbox.call` of this process's toolbox."""
    return shared_toolbox().call(name, arguments, on_progress=on_progress, seconds=seconds)


async def acall(
    name: str,
    arguments: Mapping[str, Any] | str,
    *,
    on_progress: OnProgress = ignore_progress,
    seconds: float | None = None,
) -> ToolResult:
    """`Toolbox.acall` of this process's toolbox."""
    return await shared_toolbox().acall(name, arguments, on_progress=on_progress, seconds=seconds)


def _ignore_result(_name: str, _result: ToolResult) -> None:
    pass


def run_tool_calls(
    provider: Provider,
    calls: Iterable[Any] | None,
    *,
    toolbox: Toolbox | None = None,
    on_progress: OnProgress = ignore_progress,
    on_result: OnResult = _ignore_result,
) -> list[dict[str, Any]]:
    """Runs the calls of one turn, one after another, and gives what goes back to the model.

    Args:
        provider: whose form calls and results have.
        calls: with `openai` a message's `tool_calls`, with `openai-responses` a response's `output`, with `anthropic` a
            message's `content`, with `gemini` a response's `function_calls`. What is no call is passed over; None is
            no calls. Where there are other tools, too, pass on only calls of those in `TOOLS`.
        toolbox: runs them; this process's when not given.
        on_progress: as for `Toolbox.call`.
        on_result: told the name and the result of each call, which has more than the model is told: the whole answer,
            or the error with its code.

    Returns:
        One result for each call, to be appended: with `openai` messages (one more holds the images of all results),
        with `openai-responses` items of the input, with `anthropic` content of one user message, with `gemini` parts
        of one user content. All of it is JSON. Empty when there were no calls.

    Raises:
        QuestionError: there is no such provider.
    """
    form = _form(provider)
    tools = toolbox or shared_toolbox()
    ran: list[tuple[_Asked, ToolResult]] = []
    for asked in form.read(calls or ()):
        result = tools.call(asked.name, asked.arguments, on_progress=on_progress)
        on_result(asked.name, result)
        ran.append((asked, result))
    return form.write(ran)


async def arun_tool_calls(
    provider: Provider,
    calls: Iterable[Any] | None,
    *,
    toolbox: Toolbox | None = None,
    on_progress: OnProgress = ignore_progress,
    on_result: OnResult = _ignore_result,
) -> list[dict[str, Any]]:
    """`run_tool_calls`, off the event loop; cancelling the task stops the work. `on_result` is called in the loop."""
    form = _form(provider)
    tools = toolbox or shared_toolbox()
    ran: list[tuple[_Asked, ToolResult]] = []
    for asked in form.read(calls or ()):
        result = await tools.acall(asked.name, asked.arguments, on_progress=on_progress)
        on_result(asked.name, result)
        ran.append((asked, result))
    return form.write(ran)


@dataclass(frozen=True)
class _Asked:
    id: str | None
    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True)
class _Form:
    read: Callable[[Iterable[Any]], list[_Asked]]
    write: Callable[[Sequence[tuple[_Asked, ToolResult]]], list[dict[str, Any]]]


def _form(provider: Provider) -> _Form:
    if provider not in _FORMS:
        raise QuestionError(f"there is no provider {provider}", hint=f"There are {', '.join(get_args(Provider))}")
    return _FORMS[provider]


def _of(given: Any, name: str) -> Any:
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def _from_chat_completions(calls: Iterable[Any]) -> list[_Asked]:
    functions = [(_of(each, "id"), _of(each, "function")) for each in calls if _of(each, "type") == "function"]
    return [_Asked(id_, _of(function, "name"), _of(function, "arguments")) for id_, function in functions]


def _from_responses(output: Iterable[Any]) -> list[_Asked]:
    calls = [item for item in output if _of(item, "type") == "function_call"]
    return [_Asked(_of(item, "call_id"), _of(item, "name"), _of(item, "arguments")) for item in calls]


def _from_anthropic(content: Iterable[Any]) -> list[_Asked]:
    blocks = [block for block in content if _of(block, "type") == "tool_use"]
    return [_Asked(_of(block, "id"), _of(block, "name"), _of(block, "input")) for block in blocks]


def _from_gemini(calls: Iterable[Any]) -> list[_Asked]:
    return [_Asked(_of(each, "id"), _of(each, "name"), _of(each, "args") or {}) for each in calls]


def _to_chat_completions(results: Sequence[tuple[_Asked, ToolResult]]) -> list[dict[str, Any]]:
    messages = [{"role": "tool", "tool_call_id": asked.id, "content": result.text} for asked, result in results]
    # Messages of tools hold text alone, and nothing may come between them
    shown: list[dict[str, Any]] = []
    for asked, result in results:
        if result.images:
            shown.append({"type": "text", "text": f"Images that {asked.name} returned for {asked.id}, in order:"})
            shown += ({"type": "image_url", "image_url": {"url": _data_url(image)}} for image in result.images)
    return [*messages, {"role": "user", "content": shown}] if shown else messages


def _to_responses(results: Sequence[tuple[_Asked, ToolResult]]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function_call_output",
            "call_id": asked.id,
            "output": [
                {"type": "input_text", "text": result.text},
                *({"type": "input_image", "image_url": _data_url(image)} for image in result.images),
            ]
            if result.images
            else result.text,
        }
        for asked, result in results
    ]


def _to_anthropic(results: Sequence[tuple[_Asked, ToolResult]]) -> list[dict[str, Any]]:
    return [
        {
            "type": "tool_result",
            "tool_use_id": asked.id,
            "content": [
                {"type": "text", "text": result.text},
                *(
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": image.media_type, "data": _base64(image)},
                    }
                    for image in result.images
                ),
            ],
            "is_error": result.error is not None,
        }
        for asked, result in results
    ]


def _to_gemini(results: Sequence[tuple[_Asked, ToolResult]]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for asked, result in results:
        response: dict[str, Any] = {
            "name": asked.name,
            "response": {"output" if result.error is None else "error": result.text},
        }
        if asked.id is not None:
            response["id"] = asked.id
        if result.images:
            response["parts"] = [
                {"inlineData": {"mimeType": image.media_type, "data": _base64(image)}} for image in result.images
            ]
        parts.append({"functionResponse": response})
    return parts


def _base64(image: ToolImage) -> str:
    return b64encode(image.data).decode("ascii")


def _data_url(image: ToolImage) -> str:
    return f"data:{image.media_type};base64,{_base64(image)}"


_FORMS: dict[Provider, _Form] = {
    "openai": _Form(_from_chat_completions, _to_chat_completions),
    "openai-responses": _Form(_from_responses, _to_responses),
    "anthropic": _Form(_from_anthropic, _to_anthropic),
    "gemini": _Form(_from_gemini, _to_gemini),
}
