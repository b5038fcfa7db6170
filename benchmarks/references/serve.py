"""`transformers serve`, which runs a checkpoint on this disk, asked over HTTP with OpenAI's client."""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from openai import OpenAI
from PIL import Image
from references.recipe import read_frames


@dataclass
class Serve:
    client: OpenAI
    model: str

    def ask(self, question: str, video: Path, num_frames: int, max_new_tokens: int) -> str:
        frames = read_frames(video, num_frames)
        content = [*({"type": "image_url", "image_url": {"url": _url(frame)}} for frame in frames)]
        content.append({"type": "text", "text": question})
        found = self.client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": content}],
            max_tokens=max_new_tokens,
            temperature=0,
        )
        return (found.choices[0].message.content or "").strip()


@contextmanager
def serving(model: Path, dtype: str = "float32", device: str = "cpu") -> Iterator[Serve]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    command += ["--device", device, "--dtype", dtype, "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile() as said:
        server = subprocess.Popen(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stdout=said, stderr=said)
        try:
            if not _answers(server, f"http://127.0.0.1:{port}/health"):
                said.seek(0)
                raise RuntimeError(
                    f"transformers serve does not answer: {said.read()[-2000:].decode(errors='replace')}"
                )
            client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="-", max_retries=0, timeout=3600)
            yield Serve(client, str(model))
        finally:
            server.terminate()
            server.wait()


def _answers(server: subprocess.Popen[bytes], url: str, patience: float = 300.0) -> bool:
    until = time.monotonic() + patience
    while server.poll() is None and time.monotonic() < until:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 — of the server just started
                return True
        except OSError:
            time.sleep(0.2)
    return False


def _url(frame: Image.Image) -> str:
    png = io.BytesIO()
    frame.save(png, "PNG")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
