"""Only real containers are handed to a decoder; what makes FFmpeg read other files or addresses is told by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.frames.videos import numbered, numbers_in, write_frames, write_sound
from tests.serve import Site, serve
from video_tool.errors import DecodeError, NoVideoError
from video_tool.frames import read_video
from video_tool.frames.containers import container_of
from video_tool.question import Sampling
from video_tool.settings import Settings

KINDS = {
    "a.mp4": ("libx264", "mov"),
    "a.mov": ("libx264", "mov"),
    "a.3gp": ("libx264", "mov"),
    "a.mkv": ("libx264", "matroska"),
    "a.webm": ("libvpx-vp9", "matroska"),
    "a.avi": ("mpeg4", "avi"),
    "a.ts": ("libx264", "mpegts"),
    "a.m2ts": ("libx264", "mpegts"),
    "a.mpg": ("mpeg1video", "mpeg"),
    "a.flv": ("libx264", "flv"),
    "a.wmv": ("msmpeg4v3", "asf"),
    "a.nut": ("ffv1", "nut"),
    "a.mxf": ("mpeg2video", "mxf"),
    "a.ivf": ("libvpx", "ivf"),
    "a.gif": ("gif", "gif"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_container_is_known_by_its_first_bytes_and_read(name: str, tmp_path: Path) -> None:
    codec, container = KINDS[name]
    plain = codec in ("mpeg1video", "mpeg2video", "msmpeg4v3")
    path = write_frames(tmp_path / name, numbered(12), codec=codec, options={"g": "1"} if plain else None)
    disguised = path.rename(tmp_path / "a.bin")
    assert container_of(disguised, "a.bin") == container
    frames = read_video(disguised, Sampling(num_frames=12), Settings())
    assert numbers_in(frames.images) == list(range(12))


def animation(kind: str, **options: object) -> bytes:
    images = [Image.fromarray(frame) for frame in numbered(6)]
    content = BytesIO()
    images[0].save(
        content, kind, save_all=True, append_images=images[1:], duration=[40, 80, 40, 40, 200, 40], **options
    )
    return content.getvalue()


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_animated_images_are_videos(kind: str, options: dict[str, object]) -> None:
    frames = read_video(animation(kind, **options), Sampling(num_frames=6), Settings())
    assert numbers_in(frames.images) == list(range(6))
    assert frames.timestamps == pytest.approx([0, 0.04, 0.12, 0.16, 0.2, 0.4], abs=1e-3)
    assert frames.info.duration == pytest.approx(0.44, abs=0.05)
    assert frames.info.reader == {"GIF": "decord", "WEBP": "pillow", "PNG": "pyav"}[kind]


def still(kind: str) -> bytes:
    content = BytesIO()
    Image.fromarray(numbered(1)[0]).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_an_image_is_told_from_a_video(kind: str) -> None:
    with pytest.raises(NoVideoError, match="bytes is an image, not a video") as caught:
        read_video(still(kind), Sampling(), Settings())
    assert "images=[…]" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.m4a", "aac"), ("a.ogg", "flac")]
)
def test_sound_alone_is_told_from_a_video(name: str, codec: str, tmp_path: Path) -> None:
    with pytest.raises(NoVideoError, match=f"{name}.* holds sound and no video"):
        read_video(write_sound(tmp_path / name, codec), Sampling(), Settings())


def test_a_cover_picture_is_told_from_a_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    sound = write_sound(tmp_path / "sound.m4a")
    with av.open(str(sound)) as given, av.open(str(path), "w", format="mp4") as container:
        into = container.add_stream_from_template(given.streams.audio[0])
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in given.demux(given.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = into
                container.mux(packet)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(1)[0], format="rgb24")))
        container.mux(cover.encode())
    with pytest.raises(NoVideoError, match=r"song\.m4a: its only picture is a cover"):
        read_video(path, Sampling(), Settings())


@pytest.mark.parametrize("content", [b"", b"These are words.\n" * 100, bytes(2000), b"%PDF-1.7\n" + bytes(500)])
def test_other_files_are_no_video(content: bytes) -> None:
    with pytest.raises(NoVideoError) as caught:
        read_video(content, Sampling(), Settings())
    assert caught.value.hint


# ── What would make FFmpeg read other files or addresses ──────────────────────────────────────────────────────────────


class Canary:
    """A video that nobody must read: as a file, and at an address."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.path = write_frames(folder / "canary.mp4", numbered(5))
        self.segment = write_frames(folder / "canary.ts", numbered(5), codec="libx264")
        self.site = site
        self.url = site.put("/canary.ts", self.segment.read_bytes(), content_type="video/mp2t")
        site.put("/canary.mp4", self.path.read_bytes(), content_type="video/mp4")
        for path in (self.path, self.segment):
            os.utime(path, (0, path.stat().st_mtime))  # the next read is seen, also where few are (relatime)

    def was_read(self) -> bool:
        return any(path.stat().st_atime > 0 for path in (self.path, self.segment)) or bool(self.site.hits)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    folder = tmp_path / "canary"
    folder.mkdir()
    with serve() as site:
        yield Canary(folder, site)


def hls(address: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\n{address}\n#EXT-X-ENDLIST\n".encode()


def dash(address: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"'
        ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="0" bandwidth="1"><BaseURL>{address}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>"
    ).encode()


def without_zeros(head: bytes) -> bytes:
    """The beginning of a container in front of a text that FFmpeg searches up to the first zero byte."""
    return head.replace(b"\0", b"\x01")


SCRIPTS: dict[str, Callable[[str], bytes]] = {
    "hls": hls,
    "hls behind a byte order mark": lambda address: b"\xef\xbb\xbf" + hls(address),
    "hls behind blank lines": lambda address: b"\r\n\n " + hls(address),
    "hls behind an ID3 tag": lambda address: b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + hls(address),
    "hls behind an EBML header": lambda address: b"\x1aE\xdf\xa3\x80" + hls(address),
    "hls behind FLV": lambda address: b"FLV\1\n" + hls(address),
    "dash": dash,
    "dash behind AVI": lambda address: without_zeros(b"RIFF\xff\xff\xff\x7fAVI LIST") + dash(address),
    "dash behind an EBML header": lambda address: b"\x1aE\xdf\xa3\x80" + dash(address),
    "dash behind a box": lambda address: b"\x7f\x7f\x7f\x7ffree" + dash(address),
    "dash behind GIF": lambda address: b"GIF89a\x01\x01\x01\x01" + dash(address),
    "ffconcat": lambda address: f"ffconcat version 1.0\nfile '{address}'\n".encode(),
    "sdp": lambda address: b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    "sdp behind FLV": lambda address: b"FLV\1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    "subfile": lambda address: f"subfile,,start,0,end,0,,:{address}".encode(),
    "concat": lambda address: f"concat:{address}|{address}".encode(),
    "an address": lambda address: address.encode(),
    "pls": lambda address: f"[playlist]\nFile1={address}\n".encode(),
    "asx": lambda address: f"<ASX version='3'><Entry><Ref href='{address}'/></Entry></ASX>".encode(),
    "smooth streaming": lambda address: b"<SmoothStreamingMedia MajorVersion='2'/>",
    "vapoursynth": lambda address: f"import vapoursynth\n# {address}\n".encode(),
    "avisynth": lambda address: f'AviSource("{address}")\n'.encode(),
}


def refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DecodeError) as caught:
        read_video(path, Sampling(num_frames=2), Settings())
    assert caught.value.hint


@pytest.mark.parametrize("script", SCRIPTS)
def test_playlists_and_scripts_are_refused(script: str, tmp_path: Path, canary: Canary) -> None:
    for address in (str(canary.segment), canary.url):
        refused(tmp_path / "a.mp4", SCRIPTS[script](address))
    assert not canary.was_read()


def test_a_playlist_is_refused_whatever_it_is_called_and_however_it_names_what_it_wants(
    tmp_path: Path, canary: Canary
) -> None:
    for name in ("a.mp4", "a.m3u8", "a.ts", "a"):
        for address in (canary.path, f"file:{canary.segment}", f"file://{canary.segment}", "canary/canary.ts"):
            refused(tmp_path / name, hls(str(address)))
    assert not canary.was_read()


def test_the_canary_sings(canary: Canary) -> None:
    canary.path.read_bytes()
    assert canary.was_read()


def test_an_array_of_noise_is_no_video() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    with pytest.raises(NoVideoError):
        read_video(noise, Sampling(), Settings())
