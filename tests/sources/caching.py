"""Servers whose files change, entries that have aged, and other processes that fetch through the same cache."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.programs import unmeasured
from tests.serve import Site
from video_tool.sources.entries import Entry

MP4 = "video/mp4"
LATER = {"Cache-Control": "max-age=0", "ETag": '"1"'}
FETCH = """
import hashlib, sys
from pathlib import Path
from video_tool.settings import Settings
from video_tool.sources import open_source
import video_tool.sources.cache
print("ready", flush=True)
sys.stdin.readline()
with open_source(sys.argv[1], Settings(), lambda news: print("news", news.done, flush=True)) as file:
    print(hashlib.sha256(file.path.read_bytes()).hexdigest(), file.from_cache, *file.warnings, flush=True)
"""


def with_headers(site: Site, body: bytes, headers: dict[str, str], path: str = "/cats.mp4") -> str:
    return site.put(path, body, content_type=MP4, headers=tuple(headers.items()))


def stalling(site: Site, body: bytes) -> str:
    """A file of which nothing comes any more after some blocks."""
    return site.put("/cats.mp4", body + bytes(1 << 18), content_type=MP4, stall_after=1 << 17)


def age(cache: Path) -> None:
    """Make all entries as old as can be."""
    for path in (cache / "downloads" / "entries").iterdir():
        entry = Entry.model_validate_json(path.read_bytes())
        freshness = entry.freshness.model_copy(update={"checked": 0.0})
        path.write_text(entry.model_copy(update={"freshness": freshness}).model_dump_json())


@contextmanager
def child(url: str, cache: Path, *prefix: str) -> Iterator[subprocess.Popen[str]]:
    """A process that fetches as soon as it is sent a line."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", FETCH, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=unmeasured() | {"VIDEO_TOOL_CACHE_DIR": str(cache), "VIDEO_TOOL_CACHE_MAX_BYTES": str(1 << 20)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
