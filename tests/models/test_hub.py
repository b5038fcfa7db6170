"""Checkpoints from the Hugging Face hub: fetched once, found in the cache, and given up on at once.

The hub is a server of the test's own, asked from a process of its own: Hugging Face's clients read
the environment once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOWHERE = "http://127.0.0.1:1"
BESIDES = ("pytorch_model.bin", "consolidated.safetensors", "model.fp16.safetensors", "README.md")

ASK = """
import json, sys, threading, numpy
from video_tool import VideoQA
from video_tool.errors import ModelNotFoundError
news = []
def listen(report):
    assert threading.current_thread() is threading.main_thread()
    news.append(report)
try:
    picture = numpy.zeros((9, 9, 3), "uint8")
    qa = VideoQA(sys.argv[1], device="cpu", on_progress=listen, **json.loads(sys.argv[2]))
    answer = qa.ask("What?", images=[picture], max_new_tokens=2)
    print(answer.model.model_dump_json())
    print(json.dumps([[report.subject, report.done, report.total] for report in news if report.unit == "bytes"]))
except ModelNotFoundError as error:
    print(error.retryable, error.message, error.hint, sep="|")
"""


class Hub(ThreadingHTTPServer):
    """Holds one model, `some/llava`, of the files in a folder, with one branch, `main`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        files = {file.name: file.read_bytes() for file in self.server.folder.iterdir()}
        model, resolve = "/api/models/some/llava", f"/some/llava/resolve/{COMMIT}/"
        if path == f"{model}/revision/main":
            self._send(json.dumps({"id": "some/llava", "sha": COMMIT, "siblings": [], "tags": []}).encode())
        elif path == f"{model}/tree/{COMMIT}":
            rows = [{"type": "file", "path": n, "size": len(b), "oid": sha1(b).hexdigest()} for n, b in files.items()]
            self._send(json.dumps(rows).encode())
        elif path.startswith(resolve) and path.removeprefix(resolve) in files:
            self._send(files[path.removeprefix(resolve)])
        else:
            missing = "RevisionNotFound" if path.startswith(model) else "RepoNotFound"
            gated = "nobody/gated" in path
            self._send(b"", status=403 if gated else 404, **{"X-Error-Code": "GatedRepo" if gated else missing})

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        always = {"Content-Length": str(len(body)), "ETag": f'"{sha1(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        for name, value in (always | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Keeps the tests' output clean."""


@pytest.fixture
def hub(tmp_path: Path, checkpoint: Path) -> Iterator[Hub]:
    folder = shutil.copytree(checkpoint, tmp_path / "hub")
    for name in BESIDES:
        (folder / name).write_bytes(b"of no use")
    with Hub(folder) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def environment(endpoint: str, cache: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}


def ask(
    endpoint: str, cache: Path, name: str, *, env: dict[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ASK, name, json.dumps(options)]
    env = environment(endpoint, cache) | (env or {})
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True)


def test_a_model_is_fetched_once_and_then_needs_no_hub(tmp_path: Path, hub: Hub) -> None:
    fetched = ask(hub.url, tmp_path / "cache", "some/llava")
    info, news = map(json.loads, fetched.stdout.splitlines())
    assert (info["id"], info["revision"]) == ("some/llava", COMMIT)
    size = sum(file.stat().st_size for file in hub.folder.iterdir() if file.name not in BESIDES)
    assert news[-1] == ["some/llava", size, size]
    assert news == sorted(news)
    assert "Loading weights" not in fetched.stderr
    assert "Fetching" not in fetched.stderr
    files = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= files
    assert not files & set(BESIDES)

    cached = ask(NOWHERE, tmp_path / "cache", "some/llava")
    assert cached.stdout.splitlines() == [json.dumps(info, separators=(",", ":")), "[]"]
    assert "retry" not in cached.stderr.lower()


@pytest.mark.parametrize(("name", "revision"), [("some/llava", "no-such-branch"), ("nobody/no-such-model", None)])
def test_what_the_hub_does_not_have(tmp_path: Path, hub: Hub, name: str, revision: str | None) -> None:
    retryable, message, hint = ask(hub.url, tmp_path / "cache", name, revision=revision).stdout.strip().split("|")
    assert retryable == "False"
    assert message.startswith(f"{name} can't be found")
    assert "--model builtin" in hint


def test_an_unreachable_hub_is_given_up_on_at_once(tmp_path: Path) -> None:
    done = ask(NOWHERE, tmp_path, "nobody/no-such-model")
    retryable, message, hint = done.stdout.strip().split("|")
    assert retryable == "True"
    assert "nobody/no-such-model" in message
    assert "--model builtin" in hint
    assert "retry" not in done.stderr.lower()


def test_a_model_whose_terms_nobody_accepted(tmp_path: Path, hub: Hub) -> None:
    retryable, message, hint = ask(hub.url, tmp_path / "cache", "nobody/gated").stdout.strip().split("|")
    assert retryable == "False"
    assert message.startswith("nobody/gated is given only to those who accept its terms")
    assert "sign in" in hint


@pytest.mark.parametrize("how", ["option", "variable"])
def test_offline_nothing_is_asked_of_the_hub(tmp_path: Path, hub: Hub, how: str) -> None:
    offline: dict[str, object] = {"offline": True} if how == "option" else {"env": {"HF_HUB_OFFLINE": "1"}}
    retryable, message, hint = ask(hub.url, tmp_path / "cache", "some/llava", **offline).stdout.strip().split("|")
    assert retryable == "False"
    assert message.startswith("some/llava is not in the hub's cache")
    assert "offline" in hint
    assert hub.asked == []

    online = ask(hub.url, tmp_path / "cache", "some/llava").stdout.splitlines()[0]
    hub.asked.clear()
    revision = COMMIT if how == "option" else None
    cached = ask(hub.url, tmp_path / "cache", "some/llava", revision=revision, **offline)
    assert cached.stdout.splitlines() == [online, "[]"]
    assert hub.asked == []


def test_a_download_ends_when_nobody_waits_for_it(tmp_path: Path, hub: Hub) -> None:
    code = """
import sys
from video_tool import VideoQA
def leave(report):
    raise KeyboardInterrupt if report.unit == "bytes" else AssertionError(report)
try:
    VideoQA("some/llava", on_progress=leave).load()
except KeyboardInterrupt:
    print("left")
"""
    env = environment(hub.url, tmp_path / "cache")
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "left\n"


def test_the_command_line_tells_the_hub_nothing_and_takes_its_options(tmp_path: Path, hub: Hub) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (9, 9)).save(picture)
    command = [sys.executable, "-m", "video_tool", "ask", "What?", "--image", str(picture), "--json"]
    options = ["--model", "some/llava", "--revision", "main", "--max-new-tokens", "2", "--device", "cpu"]
    env = environment(hub.url, tmp_path / "cache") | {"VIDEO_TOOL_ALLOWED_ROOTS": str(tmp_path)}
    done = subprocess.run([*command, *options], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"]["revision"] == COMMIT
    assert done.stderr == ""
    assert not any("agent" in path for path in hub.asked)
    hub.asked.clear()
    options[options.index("main")] = COMMIT  # what a commit holds never changes: with it, nothing is asked
    again = subprocess.run([*command, *options], env=env, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["text"] == json.loads(done.stdout)["text"]
    assert hub.asked == []
    other = tmp_path / "none"
    env["HF_HUB_CACHE"] = str(other)
    refused = subprocess.run([*command, *options, "--offline"], env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 6
    assert "offline" in refused.stderr
