"""A chat model on a server, which calls tools about the videos that it is told of."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

from tests.providers.scripted import Said, ScriptedServer, Seen, ToolCall, serve_script

_MOST_QUESTIONS = 4
"""Of one conversation."""


@contextmanager
def chat_completions() -> Generator[ScriptedServer]:
    """Calls the first tool about the path in what the user says, and then repeats what the tool told."""
    with serve_script([_call, _repeat] * _MOST_QUESTIONS) as server:
        yield server


def _call(seen: Seen) -> Said:
    (video,) = re.findall(r"/\S+\.mp4", seen.words)
    name, tool = next(iter(seen.tools.items()))
    given = {"question": seen.words.replace(video, "the video"), "videos": [video], "video": video}
    return [ToolCall(name, {key: value for key, value in given.items() if key in tool.schema["properties"]})]


def _repeat(seen: Seen) -> Said:
    return seen.results[-1].text
