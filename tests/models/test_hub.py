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

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOWHERE = "http://127.0.0.1:1"
BESIDES = ("pytorch_model.bin", "consolidated.safetensors", "model.fp16.safetensors", "README.md")

ASK = """
import sys, numpy
from video_tool import VideoQA
from video_tool.errors import ModelNotFoundError
name, revision = sys.argv[1], sys.argv[2] or None
try:
    picture = numpy.zeros((9, 9, 3), "uint8")
    answer = VideoQA(name, revision=revision, device="cpu").ask("What?", images=[picture], max_new_tokens=2)
    print(answer.model.model_dump_json())
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
            self._send(b"", status=404, **{"X-Error-Code": missing})

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


def ask(endpoint: str, cache: Path, name: str, revision: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", ASK, name, revision]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_a_model_is_fetched_once_and_then_needs_no_hub(tmp_path: Path, hub: Hub) -> None:
    fetched = ask(hub.url, tmp_path / "cache", "some/llava")
    info = json.loads(fetched.stdout)
    assert (info["id"], info["revision"]) == ("some/llava", COMMIT)
    files = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= files
    assert not files & set(BESIDES)

    cached = ask(NOWHERE, tmp_path / "cache", "some/llava")
    assert json.loads(cached.stdout) == info
    assert "retry" not in cached.stderr.lower()


@pytest.mark.parametrize(("name", "revision"), [("some/llava", "no-such-branch"), ("nobody/no-such-model", "")])
def test_what_the_hub_does_not_have(tmp_path: Path, hub: Hub, name: str, revision: str) -> None:
    retryable, message, hint = ask(hub.url, tmp_path / "cache", name, revision).stdout.strip().split("|")
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
