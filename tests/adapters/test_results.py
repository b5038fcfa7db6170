"""Results as hosts keep them."""

from __future__ import annotations

from video_tool import Settings
from video_tool.adapters import Toolbox, ToolResult
from video_tool.builtin import DEMO_VIDEO


def test_a_result_with_pictures_survives_as_json() -> None:
    toolbox = Toolbox("builtin", settings=Settings(allowed_roots=(DEMO_VIDEO.parent,)))
    result = toolbox.call("video_frames", {"video": str(DEMO_VIDEO), "num_frames": 2})
    again = ToolResult.model_validate_json(result.model_dump_json())
    assert [image.data for image in again.images] == [image.data for image in result.images]
    assert all(image.data.startswith(b"\xff\xd8\xff") for image in again.images)
