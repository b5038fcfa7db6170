from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.frames.videos import numbered, write_frames
from tests.serve import serve
from video_tool import VideoQA
from video_tool.frames import Media, fetch_media
from video_tool.frames.reading import full_size
from video_tool.question import FrameSequence, Sampling
from video_tool.settings import Settings


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_HOSTS", "127.0.0.1")
    video = write_frames(tmp_path / "cats.mp4", numbered(4)).read_bytes()
    picture = BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "png")
    with serve() as site:

        def media(settings: Settings) -> Media:
            videos = (site.put("/cats.mp4", video, content_type="video/mp4"),)
            images = (site.put("/red.png", picture.getvalue(), content_type="image/png"),)
            with fetch_media(videos, images, settings) as fetched:
                return fetched.read([Sampling()], full_size)

        yield media


def test_what_comes_from_the_cache_is_told(read: Callable[[Settings], Media], tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", cache_max_bytes=1 << 20, allowed_hosts=("127.0.0.1",))
    (first,), (again,) = read(settings).videos, read(settings).videos
    assert not first.info.from_cache
    assert again.info.from_cache
    assert (again.images == first.images).all()


def test_warnings_of_downloads_are_passed_on(read: Callable[[Settings], Media], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    media = read(
        Settings(cache_dir=tmp_path / "cache", cache_max_bytes=1 << 20, num_frames=4, allowed_hosts=("127.0.0.1",))
    )
    (of_video,), (of_image,) = media.videos[0].warnings, media.warnings
    assert "cats.mp4 was downloaded without it" in of_video
    assert "red.png was downloaded without it" in of_image


@pytest.mark.parametrize("sampling", [Sampling(num_frames=3), Sampling(fps=2, start=0.2), Sampling(timestamps=(0.1,))])
def test_measuring_tells_all_but_the_pixels(tmp_path: Path, sampling: Sampling) -> None:
    path = write_frames(tmp_path / "cats.mp4", numbered(10))
    with fetch_media([path, FrameSequence(numbered(10), fps=10)], [], Settings()) as fetched:
        measured, read = fetched.measure([sampling] * 2), fetched.read([sampling] * 2, full_size)
    for black, video in zip(measured.videos, read.videos, strict=True):
        assert black.images.shape == video.images.shape
        assert (black.indices, black.timestamps, black.info) == (video.indices, video.timestamps, video.info)
    assert not measured.videos[0].images.any()
    assert measured.videos[0].images.strides == (0, 0, 0, 0)  # no memory, however many


def test_scenes_are_not_looked_for_to_measure(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "cats.mp4", numbered(10))
    with fetch_media([path], [], Settings()) as fetched:
        (measured,) = fetched.measure([Sampling(num_frames=4, strategy="scenes")]).videos
    assert len(measured.images) == 4


def test_images_in_file_objects_are_read_once(qa: VideoQA) -> None:
    frames: list[BytesIO] = []
    for brightness in (10, 90):
        frames.append(BytesIO())
        Image.new("RGB", (8, 8), (brightness,) * 3).save(frames[-1], "png")
        frames[-1].seek(0)
    assert len(qa.ask("What?", [FrameSequence(frames, fps=2)], max_new_tokens=1).frames) == 2
