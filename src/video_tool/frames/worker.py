"""The process in which videos are decoded: decoders may crash or hang on a bad file, and this one can be killed.

It answers one request after the other, each a JSON object, over the connection that it inherits:

    open    a path and its container  → the header, which readers to try, and which are broken
    streams nothing                   → what FFmpeg finds in the file, stream by stream
    index   a reader's name           → the metadata; timestamps follow as bytes
    keys                              → nothing; the indices of keyframes follow as bytes
    cuts    first and stop            → nothing; the indices in this range with which scenes begin follow as bytes
    frames  indices and a size        → the frames, written to the memory whose handle follows the request
    close                             → nothing of the file is held any more

An error is an answer, too. The process ends with the one that started it, whatever it is doing.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from importlib import import_module
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from video_tool.errors import DecodeError
from video_tool.frames.containers import FIRST_BYTES
from video_tool.frames.header import read_header
from video_tool.frames.reader import Limits, VideoFile, VideoReader
from video_tool.frames.readers import Readers
from video_tool.frames.sandbox import alarm, end_with_parent, forbid_network, limit_memory
from video_tool.frames.scenes import find_cuts
from video_tool.frames.seeking import SeekingReader
from video_tool.frames.streams import describe_streams
from video_tool.frames.wire import Connection, inherited_connection, open_memory


class Session:
    """One file, from `open` to `close`."""

    _file: VideoFile
    _limits: Limits
    _reader: VideoReader
    _container: Any = None
    """The file as it was opened for its header, until a reader goes on with it."""

    def __init__(self, connection: Connection, readers: Readers) -> None:
        self._connection = connection
        self._readers = readers

    def answer(self, request: dict[str, Any]) -> list[bytes]:
        """The messages that answer a request: a JSON object, and what follows it."""
        match request["step"]:
            case "open":
                return self._open(request)
            case "streams":
                return [json.dumps({"streams": describe_streams(self._file, self._limits)}).encode()]
            case "index":
                return self._index(request["reader"])
            case "keys":
                return [b"{}", np.asarray(self._reader.keyframes(), np.uint32).tobytes()]
            case "cuts":
                asked = range(request["first"], request["stop"])
                cuts = [asked[number] for number in find_cuts(self._reader.frames(asked))]
                return [b"{}", np.asarray(cuts, np.uint32).tobytes()]
            case _:
                return self._frames(request)

    def close(self) -> None:
        """Gives up what no reader has taken."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self, request: dict[str, Any]) -> list[bytes]:
        path = Path(request["path"])
        with path.open("rb") as opened:
            file = VideoFile(path, request["container"], guessed=False, first=opened.read(FIRST_BYTES))
        self._limits = Limits(request["max_pixels"], request["max_frames"])
        self.close()
        self._file, header, self._container = read_header(file, self._limits)
        readers, complaints = self._readers.suited_to(self._file)
        return [json.dumps({"header": asdict(header), "readers": readers, "broken": complaints}).encode()]

    def _index(self, reader: str) -> list[bytes]:
        chosen = self._readers[reader]
        if chosen is SeekingReader and self._container is not None:
            opened, self._container = self._container, None
            self._reader = SeekingReader(self._file, self._limits, opened)
        else:
            self.close()
            self._reader = chosen(self._file, self._limits)
        metadata = self._reader.metadata()
        told = {"width": metadata.width, "height": metadata.height}
        told |= {"duration": metadata.duration, "damaged": metadata.damaged}
        return [json.dumps(told).encode(), np.asarray(metadata.timestamps, np.float64).tobytes()]

    def _frames(self, request: dict[str, Any]) -> list[bytes]:
        width, height = request["size"]
        frames = self._reader.frames(request["indices"])
        if request["resample"] is not None:
            frames = _resized(frames, (width, height), Image.Resampling(request["resample"]))
        with open_memory(recv_handle(cast("Any", self._connection))) as shared:
            for frame in frames:
                pixels = np.ascontiguousarray(frame)
                if pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
                    raise DecodeError(f"a frame is {pixels.shape} of {pixels.dtype}, not {width} by {height}")
                shared.write(pixels.data)
        return [b"{}"]


def _resized(
    frames: Iterable[NDArray[np.uint8]], size: tuple[int, int], resample: Image.Resampling
) -> Iterator[NDArray[np.uint8]]:
    """The frames in another size: each is resized while the next is decoded, which takes as long for keyframes."""
    with ThreadPoolExecutor(1, "resize") as beside:
        before: Future[Image.Image] | None = None
        for frame in frames:
            # copied by Pillow: a reader may use its memory again for the next
            image = Image.fromarray(np.ascontiguousarray(frame))
            if before:
                yield np.asarray(before.result())
            before = beside.submit(image.resize, size, resample)
        if before:
            yield np.asarray(before.result())


def main() -> None:
    """Answers requests until there are no more.

    The arguments are what to inherit, how much memory to take, and whose readers to load, as JSON.
    """
    end_with_parent()
    forbid_network()
    connection = inherited_connection(int(sys.argv[1]))
    import_module("av")  # what decoding needs is there before the first file is; few files need decord
    readers = Readers(json.loads(sys.argv[3]))
    limit_memory(int(sys.argv[2]))
    session = Session(connection, readers)
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        with alarm(math.ceil(request["seconds"]) + 1):
            try:
                if request["step"] == "close":
                    session.close()
                    session, reply = Session(connection, readers), [b"{}"]
                else:
                    reply = session.answer(request)
            except DecodeError as error:
                reply = [_error(type(error).__name__, error.message, error.hint)]
            except MemoryError:
                reply = [_error("DecodeError", "decoding it takes more memory than VIDEO_TOOL_DECODE_MEMORY allows")]
            except Exception as error:  # noqa: BLE001 — other people's readers and decoders raise what they like
                reply = [_error("DecodeError", f"its reader failed: {type(error).__name__}: {error}")]
        for message in reply:
            connection.send_bytes(message)


def _error(kind: str, message: str, hint: str = "") -> bytes:
    return json.dumps({"error": kind, "message": message[:500], "hint": hint}).encode()


if __name__ == "__main__":
    main()
