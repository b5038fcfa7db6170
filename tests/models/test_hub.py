"""Checkpoints from the Hugging Face hub: fetched once, found in the cache, and given up on at once.

The hub is a server of the tests' own, asked from processes of their own: Hugging Face's clients read
the environment once. One process answers the questions of several tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.programs import unmeasured

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOWHERE = "http://127.0.0.1:1"
BESIDES = ("pytorch_model.bin", "consolidated.safetensors", "model.fp16.safetensors", "README.md")

ANSWER = """
import json, sys, threading, numpy
from contextlib import suppress
from video_tool import CancelScope, VideoQA
from video_tool.errors import CancelledError, ModelNotFoundError
def leave(name):
    qa = VideoQA(name, device="cpu")
    with suppress(CancelledError), CancelScope() as scope:
        threading.Thread(target=lambda: sys.stdin.readline() and scope.cancel()).start()
        qa.load()
        return {"left": False}
    return {"left": True}
def ask(name, options):
    news = []
    def listen(report):
        assert threading.current_thread() is threading.main_thread()
        news.append(report)
    try:
        picture = numpy.zeros((9, 9, 3), "uint8")
        qa = VideoQA(name, device="cpu", on_progress=listen, **options)
        answer = qa.ask("What?", images=[picture], max_new_tokens=2)
        told = [[report.subject, report.done, report.total] for report in news if report.unit == "bytes"]
        return {"info": answer.model.model_dump(), "news": told}
    except ModelNotFoundError as error:
        return {"retryable": error.retryable, "message": error.message, "hint": error.hint}
for line in iter(sys.stdin.readline, ""):
    name, options = json.loads(line)
    print(json.dumps(leave(name) if options is None else ask(name, options)), flush=True)
"""

COMMANDS = """
import json, sys
from video_tool.cli import main
for line in iter(sys.stdin.readline, ""):
    try:
        main(json.loads(line))
    except SystemExit as left:
        print(left.code, flush=True)
"""


class Client:
    """A process that asks models about a picture, one question after another."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-c", ANSWER],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def ask(self, name: str, **options: object) -> dict[str, Any]:
        """Which model answered and what was told of its download, or the error."""
        self._send([name, options])
        return self._told()

    def leave(self, name: str, began: threading.Event) -> bool:
        """Whether loading a model ends when it is cancelled, which it is once it has begun."""
        self._send([name, None])
        assert began.wait(60)
        self._send("leave")
        return self._told()["left"]

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        return json.loads(line)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.stdin.close()  # type: ignore[union-attr]
        assert self._process.returncode == 0


class Hub(ThreadingHTTPServer):
    """Holds one model, `some/llava`, of the files in a folder, with one branch, `main`; `silent` amid its weights."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.asked: list[str] = []
        self.silent = False
        self.held, self.released = threading.Event(), threading.Event()

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
        if self.command == "GET" and self.server.silent and self.path.endswith(".safetensors"):
            self.wfile.write(body[: len(body) // 2])
            self.server.held.set()
            self.server.released.wait()
        elif self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Keeps the tests' output clean."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Hub]:
    folder = shutil.copytree(checkpoint, tmp_path_factory.mktemp("hub") / "llava")
    for name in BESIDES:
        (folder / name).write_bytes(b"of no use")
    with Hub(folder) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


@pytest.fixture
def hub(running: Hub) -> Hub:
    """It has been asked for nothing yet."""
    running.asked.clear()
    return running


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(kept: Path) -> Path:
    """The cache of the clients, with nothing in it."""
    for entry in kept.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return kept


@pytest.fixture(scope="module")
def online(running: Hub, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client(environment(running.url, kept), tmp_path_factory.mktemp("online") / "stderr") as client:
        yield client


@pytest.fixture(scope="module")
def cut_off(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client with no hub where it looks for one."""
    with Client(environment(NOWHERE, kept), tmp_path_factory.mktemp("cut-off") / "stderr") as client:
        yield client


@pytest.fixture(scope="module")
def offline(running: Hub, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client that the environment tells not to ask the hub."""
    env = environment(running.url, kept) | {"HF_HUB_OFFLINE": "1"}
    with Client(env, tmp_path_factory.mktemp("offline") / "stderr") as client:
        yield client


def environment(endpoint: str, cache: Path) -> dict[str, str]:
    kept = {key: value for key, value in unmeasured().items() if not key.lower().endswith("_proxy")}
    return kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}


def test_a_model_is_fetched_once_and_then_needs_no_hub(hub: Hub, cache: Path, online: Client, cut_off: Client) -> None:
    fetched = online.ask("some/llava")
    assert (fetched["info"]["id"], fetched["info"]["revision"]) == ("some/llava", COMMIT)
    size = sum(file.stat().st_size for file in hub.folder.iterdir() if file.name not in BESIDES)
    assert fetched["news"][-1] == ["some/llava", size, size]
    assert fetched["news"] == sorted(fetched["news"])
    files = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= files
    assert not files & set(BESIDES)
    for bar in ("Loading weights", "Fetching"):
        assert bar not in online.log.read_text()

    assert cut_off.ask("some/llava") == {"info": fetched["info"], "news": []}
    assert "retry" not in cut_off.log.read_text().lower()


@pytest.mark.parametrize(("name", "revision"), [("some/llava", "no-such-branch"), ("nobody/no-such-model", None)])
def test_what_the_hub_does_not_have(hub: Hub, cache: Path, online: Client, name: str, revision: str | None) -> None:
    error = online.ask(name, revision=revision)
    assert error["retryable"] is False
    assert error["message"].startswith(f"{name} can't be found")
    assert "--model builtin" in error["hint"]


def test_an_unreachable_hub_is_given_up_on_at_once(cache: Path, cut_off: Client) -> None:
    error = cut_off.ask("nobody/no-such-model")
    assert error["retryable"] is True
    assert "nobody/no-such-model" in error["message"]
    assert "--model builtin" in error["hint"]
    assert "retry" not in cut_off.log.read_text().lower()


def test_a_model_whose_terms_nobody_accepted(hub: Hub, cache: Path, online: Client) -> None:
    error = online.ask("nobody/gated")
    assert error["retryable"] is False
    assert error["message"].startswith("nobody/gated is given only to those who accept its terms")
    assert "sign in" in error["hint"]


@pytest.mark.parametrize("how", ["option", "variable"])
def test_offline_nothing_is_asked_of_the_hub(
    hub: Hub, cache: Path, online: Client, request: pytest.FixtureRequest, how: str
) -> None:
    client = online if how == "option" else request.getfixturevalue("offline")
    options = {"offline": True} if how == "option" else {}
    error = client.ask("some/llava", **options)
    assert error["retryable"] is False
    assert error["message"].startswith("some/llava is not in the hub's cache")
    assert "offline" in error["hint"]
    assert hub.asked == []

    fetched = online.ask("some/llava")
    hub.asked.clear()
    revision = COMMIT if how == "option" else None
    assert client.ask("some/llava", revision=revision, **options) == {"info": fetched["info"], "news": []}
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


def test_a_silent_hub_is_left(hub: Hub, cache: Path, online: Client) -> None:
    hub.silent = True
    assert online.leave("some/llava", hub.held)
    hub.silent = False
    hub.released.set()
    assert online.ask("some/llava")["info"]["revision"] == COMMIT


def test_the_command_line_tells_the_hub_nothing_and_takes_its_options(tmp_path: Path, hub: Hub) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (9, 9)).save(picture)
    asked = ["ask", "What?", "--image", str(picture), "--json", "--max-new-tokens", "2", "--device", "cpu"]
    log = tmp_path / "stderr"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", COMMANDS],
            env=environment(hub.url, tmp_path / "cache") | {"VIDEO_TOOL_ALLOWED_ROOTS": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as program,
    ):

        def run(*options: str) -> tuple[str, int]:
            """One command after another in one process: what takes long is to import torch."""
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write(json.dumps([*asked, *options]) + "\n")
            program.stdin.flush()
            *out, code = lines_to_a_number(program.stdout)
            return "".join(out), int(code)

        out, code = run("--model", "some/llava", "--revision", "main")
        answer = json.loads(out)
        assert (code, answer["model"]["revision"], log.read_text()) == (0, COMMIT, "")
        assert not any("agent" in path for path in hub.asked)
        hub.asked.clear()

        out, code = run("--model", "some/llava", "--revision", COMMIT)
        assert (code, json.loads(out)["text"]) == (0, answer["text"])
        assert hub.asked == []  # what a commit holds never changes: with it, nothing is asked

        assert run("--model", "some/other", "--offline") == ("", 6)
        assert log.read_text().startswith("video-tool: some/other is not in the hub's cache")
        assert "offline" in log.read_text()
        program.stdin.close()  # type: ignore[union-attr]


def lines_to_a_number(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if line.strip().isdecimal():
            return
