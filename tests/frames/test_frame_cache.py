"""What was decoded for one question is there for the next, as long as the file is the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from tests.frames.videos import numbered, numbers_in, write_frames
from tests.frames.workers import worker_reading, workers_of
from tests.plugin_distribution.other_plugins.readers import write_scripted
from tests.serve import serve
from tests.stopping import stop_when
from video_tool import CancelScope
from video_tool.errors import CancelledError, VideoTooLargeError
from video_tool.frames import Frames, FrameSize, probe_video, read_video
from video_tool.frames.cache import CACHE
from video_tool.frames.pool import POOL
from video_tool.frames.reading import fetch_video
from video_tool.question import Sampling
from video_tool.settings import Settings

pytestmark = pytest.mark.usefixtures("unmeasured_workers")
SETTINGS = Settings(frame_cache_bytes=1 << 24, decode_timeout=60, allowed_hosts=("127.0.0.1",))
DESCRIPTORS = Path("/proc/self/fd")
FOUR = [0, 12, 25, 37]


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    CACHE.clear()
    yield
    CACHE.clear()


def older(path: Path, nanoseconds: int = 10**9) -> Path:
    """As if it had been written a while ago."""
    times = path.stat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns - nanoseconds))
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return older(write_frames(tmp_path / "clip.mp4", numbered(50)))


def read(video: object, settings: Settings = SETTINGS, size: FrameSize | None = None, **sampling: object) -> Frames:
    asked = Sampling.model_validate({"num_frames": 4} | sampling)
    return read_video(video, asked, settings, frame_size=lambda: size)  # type: ignore[arg-type]


def is_kept(video: object, settings: Settings = SETTINGS, size: FrameSize | None = None, **sampling: object) -> bool:
    """Whether nothing is decoded for it: there is no process that could."""
    POOL.end()
    frames = read(video, settings, size, **sampling)
    assert frames.info.frames_from_cache == (not workers_of())
    return frames.info.frames_from_cache


def test_the_second_question_decodes_nothing(video: Path) -> None:
    first = read(video)
    POOL.end()
    second = read(video)
    assert workers_of() == []
    assert not first.info.frames_from_cache
    assert second.info == first.info.model_copy(update={"frames_from_cache": True})
    assert np.array_equal(first.images, second.images)
    assert (first.indices, first.timestamps, first.warnings) == (second.indices, second.timestamps, second.warnings)


def test_what_one_does_to_its_frames_no_other_sees(video: Path) -> None:
    for _ in range(3):
        frames = read(video)
        assert numbers_in(frames.images) == FOUR
        frames.images[:] = 0


def test_other_frames_and_sizes_are_decoded(video: Path) -> None:
    read(video)
    small = FrameSize(32, 16, 2)
    others = [{"num_frames": 5}, {"start": 1.0}, {"strategy": "keyframes"}, {"strategy": "scenes"}]
    for sampling in others:
        assert not is_kept(video, **sampling)
        assert is_kept(video, **sampling)
    for size in (small, FrameSize(32, 16, 3), FrameSize(16, 32, 2)):
        assert not is_kept(video, size=size)
        assert is_kept(video, size=size)
    assert is_kept(video)
    # other words for the same frames
    assert is_kept(video, num_frames=None, timestamps=(0.0, 0.48, 1.0, 1.48))


def test_measuring_and_reading_again_open_nothing(video: Path) -> None:
    read(video)
    POOL.end()
    with fetch_video(video, SETTINGS) as fetched:
        assert fetched.measure(Sampling(num_frames=4)).indices == tuple(FOUR)
        assert fetched.measure(Sampling(num_frames=7)).indices == (0, 7, 14, 21, 28, 35, 42)
        assert numbers_in(fetched.read(Sampling(num_frames=4)).images) == FOUR
    assert workers_of() == []


def test_a_file_that_has_changed_is_read_anew(video: Path) -> None:
    assert numbers_in(read(video).images) == FOUR
    write_frames(video, numbered(60)[10:])
    assert numbers_in(read(video).images) == [number + 10 for number in FOUR]
    older(video)
    assert not is_kept(video)
    assert is_kept(video)
    older(video)  # it may have been touched for any reason
    assert not is_kept(video)


def test_another_file_in_its_place_is_read(video: Path, tmp_path: Path) -> None:
    read(video)
    other = write_frames(tmp_path / "other.mp4", numbered(60)[10:])
    times = video.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(video)
    assert numbers_in(read(video).images) == [number + 10 for number in FOUR]


def test_a_file_that_was_written_only_now_is_not_relied_on(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.mp4", numbered(50))
    ahead = path.stat().st_mtime_ns + 10**10
    for _ in range(2):
        os.utime(path, ns=(ahead, ahead))  # a clock that is ahead says nothing against it
        read(path)
    assert is_kept(path)


def test_contents_count_where_they_are_handed_over(video: Path) -> None:
    content = video.read_bytes()
    read(content)
    assert is_kept(content)
    assert is_kept(BytesIO(content))
    assert not is_kept(write_frames(video, numbered(49)).read_bytes())


def test_downloads_that_are_kept_are_known_again(video: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"cache_dir": tmp_path / "cache", "cache_max_bytes": 1 << 24})
    with serve() as site:
        url = site.put(
            "/clip.mp4", video.read_bytes(), content_type="video/mp4", headers=(("Cache-Control", "max-age=99"),)
        )
        assert not read(url, settings).info.frames_from_cache
        for each in (tmp_path / "cache").rglob("*"):
            if each.is_file() and each.stat().st_size == video.stat().st_size:
                older(each)
        read(url, settings)
        assert is_kept(url, settings)


def test_ceilings_hold_for_what_is_kept(video: Path) -> None:
    read(video)
    for lower in ({"max_pixels": 64}, {"max_video_frames": 49}, {"max_video_seconds": 1.0}, {"decode_memory": 1000}):
        with pytest.raises(VideoTooLargeError):
            read(video, SETTINGS.model_copy(update=lower))


def test_least_recently_used_frames_make_room(tmp_path: Path) -> None:
    taken = 4 * 64 * 32 * 3
    settings = SETTINGS.model_copy(update={"frame_cache_bytes": 2 * taken + 10_000})
    first, second, third = (older(write_frames(tmp_path / f"{n}.mp4", numbered(50))) for n in range(3))
    for path in (first, second, first, third):
        read(path, settings)
    assert is_kept(first, settings)
    assert is_kept(third, settings)
    assert not is_kept(second, settings)


@pytest.mark.parametrize("most", [0, 1000])
def test_nothing_is_kept_that_is_more_than_may_be(video: Path, most: int) -> None:
    settings = SETTINGS.model_copy(update={"frame_cache_bytes": most})
    read(video, settings)
    assert not is_kept(video, settings)


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="no list of descriptors")
def test_descriptors_do_not_run_out(video: Path) -> None:
    before = len(list(DESCRIPTORS.iterdir()))
    for count in range(1, 50):
        for size in (FrameSize(8, 8, 2), FrameSize(8, 4, 2)):
            read(video, size=size, num_frames=count)
    assert len(list(DESCRIPTORS.iterdir())) < before + 80
    CACHE.clear()
    assert len(list(DESCRIPTORS.iterdir())) <= before + 8  # of the worker


def test_damaged_videos_are_read_anew(video: Path) -> None:
    content = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        at, size = next((p.pos, p.size) for p in container.demux(video=0) if p.pts and not p.is_disposable)
    assert at is not None
    content[at + 5 : at + size] = bytes(255 for _ in range(size - 5))
    video.write_bytes(content)
    older(video)
    warned = [read(video).warnings for _ in range(2)]
    assert warned[0]
    assert warned[0] == warned[1]
    assert not is_kept(video)


def test_threads_get_frames_of_their_own_files(tmp_path: Path) -> None:
    frames = numbered(90)
    paths = [older(write_frames(tmp_path / f"{n}.mp4", frames[n * 10 :][:50])) for n in range(4)]
    barrier = threading.Barrier(4)

    def ask(number: int) -> None:
        barrier.wait()
        for turn in range(6):
            which = (number + turn) % 4
            images = read(paths[which]).images
            assert numbers_in(images) == [10 * which + index for index in FOUR]
            images[:] = 0

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))
    assert all(is_kept(path) for path in paths)


@pytest.mark.usefixtures("plugged")
def test_cancelled_reading_leaves_nothing_behind(tmp_path: Path, video: Path) -> None:
    stuck = older(write_scripted(tmp_path / "stuck.mp4", "hang in frames"))
    stop_when(lambda: worker_reading(stuck), lambda: read(stuck))
    read(video)
    with CancelScope() as scope:
        scope.cancel()
        with pytest.raises(CancelledError):
            read(video, num_frames=6)
    assert not is_kept(video, num_frames=6)
    assert is_kept(video)


def test_probing_uses_what_is_known_and_says_the_same(video: Path) -> None:
    first = probe_video(video, SETTINGS)
    assert probe_video(video, SETTINGS) == first
    assert first.keyframes == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_forked_process_goes_on_with_it(video: Path) -> None:
    read(video)
    child = os.fork()
    if not child:
        kept = numbers_in(read(video).images) == FOUR and not workers_of()
        os._exit(not kept)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
