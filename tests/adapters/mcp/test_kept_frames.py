"""Frames that were shown: read again by who knows their URI, in a bounded number of bytes."""

from __future__ import annotations

from video_tool.adapters.mcp.kept_frames import KeptFrames
from video_tool.adapters.results import ToolImage


def images(*sizes: int) -> list[ToolImage]:
    return [ToolImage(data=bytes(size), media_type="image/jpeg", timestamp=number) for number, size in enumerate(sizes)]


def test_frames_have_uris_that_nobody_can_guess() -> None:
    kept = KeptFrames(100)
    first, second = kept.keep("a.mp4", images(10, 10)), kept.keep("a.mp4", images(10))
    uris = {frame.uri for frame in (*first, *second)}
    assert len(uris) == 3
    assert {len(uri.split("/")[3]) for uri in uris} == {16}  # twelve random bytes
    assert [frame.name for frame in first] == ["a.mp4 at 0.00 s", "a.mp4 at 1.00 s"]
    assert kept.get(first[1].uri) == first[1]
    assert kept.get("video-tool://frames/x/0") is None


def test_those_used_longest_ago_make_room() -> None:
    kept = KeptFrames(30)
    a, b, c = kept.keep("a.mp4", images(10, 10, 10))
    assert kept.get(a.uri) == a
    (d,) = kept.keep("b.mp4", images(15))
    assert [frame.uri for frame in kept.all()] == [d.uri, a.uri]
    assert kept.get(b.uri) is None
    assert kept.get(c.uri) is None


def test_what_is_too_much_by_itself_is_kept_in_part_and_only_that_is_told() -> None:
    kept = KeptFrames(25)
    assert [frame.name for frame in kept.keep("a.mp4", images(10, 10, 10))] == ["a.mp4 at 1.00 s", "a.mp4 at 2.00 s"]
    assert kept.keep("a.mp4", images(26)) == []
    assert kept.all() == []
    assert len(kept.keep("a.mp4", images(25))) == 1
