import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout

from video_tool.sources.freshness import Freshness
from video_tool.sources.store import Store

FRESH = Freshness(checked=0.0)
HOLD = """
import sys
from pathlib import Path
from filelock import FileLock
from video_tool.sources.store import Store
store = Store(Path(sys.argv[1]), 10)
with store.work_folder() as folder, store.turn("b", 0):
    (folder / "source").write_bytes(b"half of it")
    print(folder.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "downloads", 10)
    store.prepare()
    return store


def keep(store: Store, key: str, content: bytes) -> bool:
    with store.work_folder() as folder:
        (folder / "source").write_bytes(content)
        return store.keep(key, f"https://site.example/{key}", folder / "source", FRESH)


def used_at(store: Store, key: str, moment: float) -> None:
    os.utime(store.folder / "entries" / f"{key}.json", (moment, moment))


def content(store: Store, key: str) -> bytes | None:
    entry = store.find(key)
    if entry is None:
        return None
    with store.work_folder() as folder:
        return (folder / "copy").read_bytes() if store.check_out(key, entry, folder / "copy") else None


def files(store: Store) -> set[str]:
    return {str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file()}


def test_what_is_kept_comes_back(store: Store):
    assert content(store, "a") is None
    assert keep(store, "a", b"meow")
    assert content(store, "a") == b"meow"
    ((entry, _),) = store.kept()
    assert (entry.name, entry.size, store.size()) == ("https://site.example/a", 4, 4)


def test_the_folder_is_private(store: Store, tmp_path: Path):
    store.folder.chmod(0o755)
    store.prepare()
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o700 == 0o700


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_used(store: Store):
    os.chown(store.folder, 12345, 12345)
    with pytest.raises(PermissionError, match="another user"):
        store.prepare()


def test_the_least_recently_used_goes_first(store: Store):
    for key, moment in (("a", 1), ("b", 2), ("c", 3)):
        assert keep(store, key, key.encode() * 3)
        used_at(store, key, moment)
    assert content(store, "a") == b"aaa"  # now it is the one used last
    assert keep(store, "d", b"dddd")
    assert [content(store, key) for key in "abcd"] == [b"aaa", None, b"ccc", b"dddd"]
    assert store.size() == 10
    assert keep(store, "e", b"e" * 10)
    assert [content(store, key) for key in "abcde"] == [None, None, None, None, b"e" * 10]


def test_what_is_larger_than_the_whole_is_not_kept_and_evicts_nothing(store: Store):
    assert keep(store, "a", b"meow")
    assert not keep(store, "b", b"x" * 11)
    assert content(store, "a") == b"meow"
    assert content(store, "b") is None


def test_the_same_content_is_kept_once(store: Store):
    for key in "abc":
        assert keep(store, key, b"8 bytes.")
    assert store.size() == 8
    store.forget("a")
    assert [content(store, key) for key in "abc"] == [None, b"8 bytes.", b"8 bytes."]
    assert keep(store, "d", b"other")
    assert [content(store, key) for key in "bcd"] == [None, None, b"other"]


def test_a_new_download_replaces_the_old_one(store: Store):
    assert keep(store, "a", b"old")
    assert keep(store, "a", b"newer")
    assert content(store, "a") == b"newer"
    store.sweep()
    assert store.size() == 5


@pytest.mark.parametrize("lose", ["evict", "clear", "forget", "replace"])
def test_who_has_a_file_in_use_keeps_it(store: Store, lose: str):
    assert keep(store, "a", b"meow")
    entry = store.find("a")
    assert entry is not None
    with store.work_folder() as folder:
        assert store.check_out("a", entry, folder / "copy")
        if lose == "evict":
            keep(store, "b", b"x" * 10)
        elif lose == "clear":
            assert store.clear() == 4
        elif lose == "forget":
            store.forget("a")
        else:
            keep(store, "a", b"purr")
        store.sweep()
        assert (folder / "copy").read_bytes() == b"meow"
    assert content(store, "a") == (b"purr" if lose == "replace" else None)
    assert list((store.folder / "work").iterdir()) == []


def test_a_turn_is_for_one(store: Store):
    with store.turn("a", 0), store.turn("b", 0):
        with pytest.raises(Timeout), store.turn("a", 0):
            pytest.fail("there were two")
        store.sweep()  # whose locks are held is at work
        with pytest.raises(Timeout), store.turn("a", 0):
            pytest.fail("there were two")
    with store.turn("a", 0):
        pass
    store.sweep()
    assert list((store.folder / "locks").iterdir()) == []


def test_what_a_killed_process_leaves_is_removed_and_nothing_of_a_live_one(store: Store):
    command = [sys.executable, "-c", HOLD, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        left = store.folder / "work" / holder.stdout.readline().decode().strip()
        store.sweep()
        assert (left / "source").read_bytes() == b"half of it"
        holder.kill()
    assert left.exists()
    store.sweep()
    assert list((store.folder / "work").iterdir()) == []
    with store.turn("b", 0):  # its locks went with it
        pass


def test_a_process_killed_between_file_and_entry_leaves_nothing_behind(store: Store):
    keep(store, "a", b"meow")
    (store.folder / "entries" / "a.json").unlink()
    store.sweep()
    assert files(store) == {"store.lock"}


def test_an_entry_without_its_file_answers_nothing(store: Store):
    keep(store, "a", b"meow")
    entry = store.find("a")
    assert entry is not None
    (store.folder / "objects" / entry.sha256).unlink()
    assert content(store, "a") is None
    store.sweep()
    assert store.kept() == []


@pytest.mark.parametrize("damage", [b"", b"meo", b"meow!"])
def test_a_file_of_another_size_answers_nothing(store: Store, damage: bytes):
    keep(store, "a", b"meow")
    entry = store.find("a")
    assert entry is not None
    (store.folder / "objects" / entry.sha256).write_bytes(damage)
    assert content(store, "a") is None
    keep(store, "a", b"meow")  # the download that follows puts it right
    assert content(store, "a") == b"meow"


def test_verifying_removes_what_is_damaged(store: Store):
    for key in "abcd":
        keep(store, key, key.encode())
    keep(store, "e", b"b")  # the same content as b's
    (store.folder / "entries" / "a.json").write_text("{")
    for key in "bc":
        entry = store.find(key)
        assert entry is not None
        path = store.folder / "objects" / entry.sha256
        path.unlink() if key == "c" else path.write_bytes(b"x")
    found = store.verify()
    assert (found.files, found.bytes) == (2, 2)  # a's file is as it was, though nobody knows any more what it is
    assert sorted(found.damaged) == [
        "https://site.example/b",
        "https://site.example/c",
        "https://site.example/e",
        "the entry a",
    ]
    assert [content(store, key) for key in "abcde"] == [None, None, None, b"d", None]
    again = store.verify()
    assert (again.files, again.damaged) == (1, ())


def test_clearing_removes_everything(store: Store):
    keep(store, "a", b"meow")
    with store.turn("a", 0):
        pass
    assert store.clear() == 4
    assert store.clear() == 0
    assert files(store) == {"store.lock"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_process_that_hangs_holds_nobody_up_for_long(store: Store):
    code = HOLD.replace("as folder,", 'as folder, FileLock(store.folder / "store.lock"),')
    command = [sys.executable, "-c", code, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(BlockingIOError, match="another process"):
            Store(store.folder, 10, patience=0.1).sweep()
        holder.kill()
    store.sweep()
