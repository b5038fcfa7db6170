"""Videos that are too large are refused before a frame of them is decoded, and those that lie are survived."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.frames.videos import numbered, numbers_in, write_frames
from video_tool.errors import VideoTooLargeError
from video_tool.frames import probe_video, read_video
from video_tool.question import Sampling
from video_tool.settings import Settings

MIB = 1 << 20
MOST = 500 * MIB


def write_picture(path: Path, width: int, height: int, fps: Fraction, count: int = 1) -> bytes:
    """Writes a video of one picture, shown `count` times; returns the picture as it is encoded."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        stream.codec_context.time_base = 1 / fps
        content = bytes((stream.encode(av.VideoFrame(width, height, "yuvj420p")) + stream.encode())[0])
        for number in range(count):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, 1 / fps
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, True
            container.mux(packet)
    return content


def write_wide(path: Path) -> None:
    write_picture(path, 16384, 8704, Fraction(25), 50)


def write_slow(path: Path) -> None:
    write_picture(path, 64, 32, Fraction(1, 10_000), 100)


def write_long_mp4(path: Path) -> None:
    """A million frames of a few bytes, by the tables alone: ISO/IEC 14496-12, 8.6.1.2, 8.7.3.2 and 8.7.4."""
    write_picture(path, 64, 32, Fraction(1000))
    content = bytearray(path.read_bytes())
    for box, at in ((b"stts", 12), (b"stsz", 12), (b"stsc", 16)):
        place = content.index(box) + at
        content[place : place + 4] = struct.pack(">I", 1_000_000)
    path.write_bytes(content)


def write_long_mkv(path: Path) -> None:
    """A million frames, each of them there, which no header counts: RFC 9559, 5.1.3."""
    write_picture(path, 64, 32, Fraction(1000))
    content = bytearray(path.read_bytes())
    segment, duration = content.index(b"\x18\x53\x80\x67\x01") + 4, content.index(b"\x44\x89\x88") + 3
    content[segment : segment + 8] = b"\x01" + b"\xff" * 7  # of unknown size: to the end of the file
    content[duration : duration + 8] = struct.pack(">d", 1e6)
    path.write_bytes(content)
    picture = bytes(8)
    size = struct.pack(">I", 0x10000000 | len(picture) + 4)
    blocks = b"".join(b"\xa3" + size + b"\x81" + struct.pack(">h", i) + b"\x80" + picture for i in range(1000))
    with path.open("ab") as file:
        for number in range(1, 1000):
            body = b"\xe7\x84" + struct.pack(">I", number * 1000) + blocks
            file.write(b"\x1f\x43\xb6\x75" + struct.pack(">Q", 0x0100000000000000 | len(body)) + body)


ASK = """
import json, resource, sys
from pathlib import Path
from video_tool.errors import VideoTooLargeError
from video_tool.frames import probe_video, read_video
from video_tool.frames.pool import POOL
from video_tool.question import Sampling
from video_tool.settings import Settings

def used():
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    # of this process, getrusage would tell the peak of the one that started it
    peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    seconds = own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime
    return seconds, max(int(peak), workers.ru_maxrss)

small, large = sys.argv[1:]
probe_video(small, Settings())
POOL.end()
seconds = used()[0]
try:
    read_video(large, Sampling(num_frames=4), Settings())
except VideoTooLargeError as error:
    POOL.end()
    after, peak = used()
    print(json.dumps([error.message, error.hint, after - seconds, peak * 1024]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in KiB")
@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        ("wide.mp4", "its frames are 16384×8704, above the ceiling of 33554432 pixels"),
        ("long.mp4", "it has more than 500000 frames, which is the ceiling"),
        ("long.mkv", "it has more than 500000 frames, which is the ceiling"),
        ("slow.mp4", "it lasts 1000000 s, above the ceiling of 21600 s"),
    ],
)
def test_a_bomb_is_refused_in_two_seconds_and_half_a_gigabyte(bomb: str, message: str, tmp_path: Path) -> None:
    """Seconds of work, of both processes and with the start of one, so that the machine's load does not count."""
    small = write_frames(tmp_path / "small.mp4", numbered(2))
    path = tmp_path / bomb
    {"wide.mp4": write_wide, "slow.mp4": write_slow, "long.mp4": write_long_mp4, "long.mkv": write_long_mkv}[bomb](path)
    unwatched = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", ASK, small, path]
    said, hint, seconds, peak = json.loads(subprocess.check_output(command, env=unwatched))
    assert said == f"{path.name}: {message}"
    assert "VIDEO_TOOL_MAX_" in hint
    assert seconds < (4 if bomb == "long.mkv" else 2)  # whose frames have to be counted
    assert peak < MOST


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(max_pixels=64 * 32 - 1), "its frames are 64×32"),
        (Settings(max_video_frames=49), "it has more than 49 frames"),
        (Settings(max_video_seconds=1.9), "it lasts 2 s, above the ceiling of 1.9 s"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_ceilings_hold_wherever_the_count_comes_from(
    name: str, settings: Settings, message: str, tmp_path: Path
) -> None:
    path = write_frames(tmp_path / name, numbered(50))
    with pytest.raises(VideoTooLargeError, match=message):
        read_video(path, Sampling(), settings)
    report = probe_video(path, settings)
    assert report.refusal
    assert message in report.refusal.message
    assert report.streams[0].codec == "h264"


def test_a_webp_animation_keeps_to_ceilings() -> None:
    images = [Image.fromarray(frame) for frame in numbered(6)]
    content = BytesIO()
    images[0].save(content, "WEBP", save_all=True, append_images=images[1:], lossless=True)
    for settings in (Settings(max_pixels=64 * 32 - 1), Settings(max_video_frames=5)):
        with pytest.raises(VideoTooLargeError):
            read_video(content.getvalue(), Sampling(), settings)


@pytest.mark.parametrize("claimed", [10, 5000])
def test_a_wrong_size_in_the_header_is_survived(claimed: int, tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", numbered(20))
    content = bytearray(path.read_bytes())
    entry = content.index(b"avc1") + 28  # ISO/IEC 14496-12, 12.1.3: width and height of the sample entry
    content[entry : entry + 4] = struct.pack(">HH", claimed, claimed)
    path.write_bytes(content)
    frames = read_video(path, Sampling(num_frames=4), Settings())
    assert numbers_in(frames.images) == [0, 5, 10, 15]


def test_a_header_that_counts_too_many_frames_is_survived_and_told(tmp_path: Path) -> None:
    path = write_frames(
        tmp_path / "a.mp4", numbered(50), options={"g": "1", "bf": "0"}, muxing={"movflags": "faststart"}
    )
    with av.open(str(path)) as container:
        places = sorted(packet.pos for packet in container.demux(video=0) if packet.size)
    assert len(places) == 50
    path.write_bytes(path.read_bytes()[: places[30]])
    frames = read_video(path, Sampling(num_frames=10), Settings())
    assert frames.info.total_frames == 30
    assert numbers_in(frames.images) == list(frames.indices) == list(range(0, 30, 3))
    assert "1.20 s of the 2.00 s that it should last can be read" in frames.warnings[0]
