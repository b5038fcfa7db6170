"""Frames that are sought are those of decoding everything, bit for bit; and what they don't need is not decoded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.frames.videos import even_times, numbered, write_frames
from video_tool.frames import FrameSize, read_video
from video_tool.frames.containers import FIRST_BYTES, container_of
from video_tool.frames.header import read_header
from video_tool.frames.reader import Limits, VideoFile
from video_tool.frames.sample_table import shown_times
from video_tool.frames.seeking import SeekingReader, packet_times
from video_tool.question import Sampling
from video_tool.settings import Settings

COUNT = 60
LIMITS = Limits(1 << 25, 10**6)
UNEVEN = [0, *np.cumsum([10 + 290 * (i % 7 == 3) + 30 * (i % 3) for i in range(COUNT - 1)]).tolist()]
B_FRAMES = "keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0"


def moving() -> NDArray[np.uint8]:
    """Noise that drifts: no frame is like another, and each is best told from its neighbours."""
    picture = np.random.default_rng(5).integers(0, 256, (8, 40, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([np.roll(picture, 3 * number, axis=1)[:, :128] for number in range(COUNT)])


def opened(path: Path) -> SeekingReader:
    file = VideoFile(path, container_of(path, path.name), guessed=True, first=path.read_bytes()[:FIRST_BYTES])
    return SeekingReader(file, LIMITS)


def all_frames(path: Path) -> list[NDArray[np.uint8]]:
    """As FFmpeg shows them from the start."""
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.best("video"))
        return [np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90)) for frame in frames]


def remuxed(path: Path, to: Path, shift: int = 0, muxing: dict[str, str] | None = None) -> Path:
    """The same packets, shown `shift` milliseconds later: before 0 an edit list leaves them out."""
    with av.open(str(path)) as source, av.open(str(to), "w", options=muxing or {}) as target:
        stream: Any = source.streams.best("video")
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.pts += round(Fraction(shift, 1000) / stream.time_base)
                packet.dts += round(Fraction(shift, 1000) / stream.time_base)
                packet.stream = copy
                target.mux(packet)
    return to


@dataclass(frozen=True)
class Case:
    name: str
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    times: list[int] = field(default_factory=lambda: even_times(COUNT))
    shift: int = 0
    muxing: dict[str, str] = field(default_factory=dict)
    rotation: int = 0

    def write(self, folder: Path) -> Path:
        path = write_frames(
            folder / self.name,
            moving(),
            times=self.times,
            codec=self.codec,
            options=self.options,
            muxing=self.muxing,
            rotation=self.rotation,
        )
        return remuxed(path, folder / f"shifted-{self.name}", self.shift, self.muxing) if self.shift else path


CASES = {
    "no b-frames": Case("a.mp4", options={"x264-params": "bframes=0:keyint=20"}),
    "b-frames": Case("a.mp4", options={"x264-params": B_FRAMES}),
    "b-frames that are references": Case("a.mov", options={"x264-params": f"{B_FRAMES}:b-pyramid=normal:ref=4"}),
    "open groups": Case("a.mp4", options={"x264-params": f"{B_FRAMES}:open-gop=1"}),
    "open groups in matroska": Case("a.mkv", options={"x264-params": f"{B_FRAMES}:open-gop=1"}),
    "one group": Case("a.mp4", options={"x264-params": "keyint=infinite:bframes=3"}),
    "keyframes alone": Case("a.mp4", options={"g": "1"}),
    "uneven times": Case("a.mp4", times=UNEVEN, options={"x264-params": B_FRAMES}),
    "uneven times in matroska": Case("a.mkv", times=UNEVEN, options={"x264-params": B_FRAMES}),
    "late beginning": Case("a.mp4", shift=1000, options={"x264-params": B_FRAMES}),
    "cut beginning": Case("a.mp4", shift=-200, options={"x264-params": B_FRAMES}),
    "cut beginning in an open group": Case("a.mp4", shift=-1000, options={"x264-params": f"{B_FRAMES}:open-gop=1"}),
    "tables in front": Case("a.mp4", muxing={"movflags": "faststart"}),
    "fragments": Case("a.mp4", muxing={"movflags": "frag_keyframe+empty_moov"}, options={"x264-params": B_FRAMES}),
    "negative offsets": Case("a.mp4", muxing={"movflags": "negative_cts_offsets"}, options={"x264-params": B_FRAMES}),
    "turned": Case("a.mp4", rotation=90),
    "hevc": Case("a.mp4", "libx265", {"x265-params": f"{B_FRAMES}:log-level=none"}),
    "hevc in layers": Case("a.mp4", "libx265", {"x265-params": f"{B_FRAMES}:temporal-layers=3:log-level=none"}),
    "vp9": Case("a.webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "25"}),
    "av1": Case("a.mp4", "libsvtav1", {"g": "20", "svtav1-params": "lookahead=20"}),
    "mpeg4": Case("a.mov", "mpeg4", {"g": "20", "bf": "2"}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_are_those_of_decoding_everything(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    expected = all_frames(path)
    reader = opened(path)
    assert len(reader.metadata().timestamps) == len(expected)
    total = len(expected)
    for asked in ([0], [total - 1], [1, 2, 3], [7, 26, 27, 45], range(0, total, 5), range(total), [19, 20, 21]):
        indices = [index for index in asked if index < total]
        images = list(reader.frames(indices))
        assert len(images) == len(indices)
        assert all(np.array_equal(image, expected[index]) for image, index in zip(images, indices, strict=True))


@pytest.mark.corpus
@pytest.mark.skipif("VIDEO_TOOL_CORPUS" not in os.environ, reason="VIDEO_TOOL_CORPUS names no folder")
def test_frames_of_real_videos_are_those_of_decoding_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ["VIDEO_TOOL_CORPUS"]) / "real"
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", str(folder))
    from PIL import Image

    sought = 0
    for path in sorted(folder.iterdir()):
        frames = read_video(path, Sampling(num_frames=9), Settings(), frame_size=lambda: FrameSize(64, 64, 3))
        if frames.info.reader == "pyav-seeking":
            sought += 1
            expected = all_frames(path)
            assert len(expected) == frames.info.total_frames
            for image, index in zip(frames.images, frames.indices, strict=True):
                whole = Image.fromarray(np.ascontiguousarray(expected[index]))
                assert np.array_equal(image, np.asarray(whole.resize((64, 64), Image.Resampling.BICUBIC)))
    assert sought >= 12


TOLD = [name for name, case in CASES.items() if case.name.endswith(("mp4", "mov"))]


@pytest.mark.parametrize("name", TOLD)
def test_tables_say_what_packets_say(name: str, tmp_path: Path) -> None:
    path = CASES[name].write(tmp_path)
    with av.open(str(path)) as container, path.open("rb") as file:
        told = shown_times(file, container.streams.best("video"))
        packets = packet_times(container, LIMITS)
    if name in ("fragments", "cut beginning in an open group"):
        assert told is None
        return
    assert told is not None
    times, keys = told
    assert sorted(times.tolist()) == list(packets.shown)
    assert sorted(times[keys].tolist()) == list(packets.keys)


def packets_of(path: Path) -> list[tuple[int, int, int, bool]]:
    """Place and size in the file, frame and whether it is a reference, in the order of decoding (H.264)."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.best("video")
        found = [(p.pos, p.size, p.pts, bytes(p)) for p in container.demux(stream) if p.size]
    order = {shown: number for number, shown in enumerate(sorted(each[2] for each in found))}
    return [(at, size, order[shown], _is_reference(content)) for at, size, shown, content in found]


def _is_reference(content: bytes) -> bool:
    """By the kind of its first slice (ITU-T H.264, 7.3.1)."""
    at = 0
    while content[at + 4] & 31 not in (1, 5):
        at += 4 + int.from_bytes(content[at : at + 4])
    return content[at + 4] >> 5 > 0


def broken_where(path: Path, unneeded: Callable[[int, bool], bool]) -> int:
    """Overwrites the packets of frames that are not needed, but for what says where one begins; tells how many."""
    content = bytearray(path.read_bytes())
    broken = 0
    for at, size, number, is_reference in packets_of(path):
        if unneeded(number, is_reference) and size > 5:
            content[at + 5 : at + size] = bytes(255 for _ in range(size - 5))
            broken += 1
    path.write_bytes(content)
    return broken


def test_frames_on_which_nothing_rests_are_not_decoded(tmp_path: Path) -> None:
    path = CASES["b-frames"].write(tmp_path)
    expected = all_frames(path)
    wanted = [0, 18, 33, 39]
    assert broken_where(path, lambda number, is_reference: not is_reference and number not in wanted) > COUNT / 4
    reader = opened(path)
    reader.metadata()
    for image, index in zip(reader.frames(wanted), wanted, strict=True):
        assert np.array_equal(image, expected[index])


def test_other_groups_and_what_comes_later_are_not_decoded(tmp_path: Path) -> None:
    path = CASES["b-frames"].write(tmp_path)
    expected = all_frames(path)
    assert broken_where(path, lambda number, _: 1 <= number < 20 or number > 41) > 30
    reader = opened(path)
    reader.metadata()
    wanted = [0, 20, 21, 40]
    for image, index in zip(reader.frames(wanted), wanted, strict=True):
        assert np.array_equal(image, expected[index])


def test_keyframes_are_all_that_is_decoded_of_keyframes(tmp_path: Path) -> None:
    path = CASES["b-frames"].write(tmp_path)
    expected = all_frames(path)
    assert broken_where(path, lambda number, _: number % 20 > 0) == COUNT - 3
    frames = read_video(path, Sampling(num_frames=3, strategy="keyframes"), Settings())
    assert frames.info.reader == "pyav-seeking"
    assert frames.indices == (0, 20, 40)
    assert all(np.array_equal(image, expected[index]) for image, index in zip(frames.images, (0, 20, 40), strict=True))


def test_a_damaged_frame_that_others_rest_on_is_told(tmp_path: Path) -> None:
    path = CASES["b-frames"].write(tmp_path)
    assert broken_where(path, lambda number, _: number == 24) == 1
    whole = read_video(path, Sampling(timestamps=(0.0, 0.8, 1.9)), Settings())
    assert whole.info.reader == "pyav-seeking"
    assert whole.warnings == ()
    marred = read_video(path, Sampling(timestamps=(1.44,)), Settings())
    assert marred.warnings[0].startswith("a.mp4 may be damaged: its decoder reported errors")


def test_nothing_is_decoded_to_know_a_header(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", moving(), options={"x264-params": B_FRAMES})
    at, size, _, _ = packets_of(path)[0]
    content = bytearray(path.read_bytes())
    content[at + size // 2 : at + size] = bytes(size - size // 2)  # a decoder would complain
    path.write_bytes(content)
    file = VideoFile(path, container_of(path, path.name), guessed=False, first=b"")
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as of_header:
            _, header, container = read_header(file, LIMITS)
        with container, av.logging.Capture(local=False) as of_frame:
            next(container.decode(video=0))
    finally:
        av.logging.set_level(None)
    assert (header.codec, header.width, header.height) == ("h264", 128, 64)
    assert of_header == []
    assert of_frame != []


def test_nothing_but_tables_is_read_to_know_a_film(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(COUNT), options={"x264-params": B_FRAMES})
    expected = opened(path).metadata()
    broken_where(path, lambda number, _: number > 0)
    assert opened(path).metadata() == expected
