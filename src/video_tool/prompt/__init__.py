"""From a question and its media to the prompt: placeholders, then the chat template."""

from video_tool.prompt.escaping import plain_words
from video_tool.prompt.placeholders import Message, place_media
from video_tool.prompt.rendering import find_kind, has_template
from video_tool.prompt.template import Prompt, TemplateStyle, build_prompt

__all__ = [
    "Message",
    "Prompt",
    "TemplateStyle",
    "build_prompt",
    "find_kind",
    "has_template",
    "place_media",
    "plain_words",
]
