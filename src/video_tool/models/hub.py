"""From a model's name to a folder with its files: in the package, on this machine, or from the Hugging Face hub."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from video_tool.builtin import CHECKPOINT
from video_tool.cancellation import check, on_cancel
from video_tool.errors import ModelError, ModelNotFoundError
from video_tool.model_options import ModelOptions
from video_tool.models.failures import first_line
from video_tool.progress import OnProgress, Progress

BUILTIN = "builtin"

_CHECKPOINT = ("*.json", "*.jinja", "*.txt", "*.model", "model.safetensors", "model-*-of-*.safetensors")
"""The files of a checkpoint on the hub; many hold the same weights in other formats, too."""
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class Files:
    """A checkpoint's or adapter's files on this machine.

    Attributes:
        folder: where they are.
        revision: the hub's commit, or the package's version for the built-in model; None for a folder of the user's.
    """

    folder: Path
    revision: str | None

    def state(self) -> tuple[object, ...]:
        """What changes when the files do: folder, and the names, sizes and times of all that is in it."""
        stats = sorted((file.name, file.stat()) for file in self.folder.iterdir() if file.is_file())
        return str(self.folder.resolve()), *((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def find_checkpoint(model: str | Path, options: ModelOptions, on_progress: OnProgress) -> Files:
    """The checkpoint of a model, fetched when the hub has it.

    Raises:
        ModelNotFoundError: there is no such model, or it can't be reached.
        ModelError: a revision is asked for where there is none.
    """
    if model == BUILTIN:
        _refuse_revision(model, options.revision)
        return Files(CHECKPOINT, version("video-tool"))
    files = _CHECKPOINT if options.trust_remote_code is None else (*_CHECKPOINT, "*.py")
    found = _find(model, options.revision, files, options, on_progress)
    if not (found.folder / "config.json").is_file():
        is_adapter = (found.folder / "adapter_config.json").is_file()
        raise ModelNotFoundError(
            f"there is no checkpoint in {model}",
            hint="That is an adapter: name the model that it belongs to, and give this as adapter."
            if is_adapter
            else "Check the name or path; --model builtin needs no download.",
        )
    return found


def find_adapter(options: ModelOptions, on_progress: OnProgress) -> Files | None:
    """The adapter that is asked for, if one is. Raises as `find_checkpoint` does."""
    if options.adapter is None:
        return None
    found = _find(options.adapter, options.adapter_revision, _ADAPTER, options, on_progress)
    missing = [name for name in _ADAPTER if not (found.folder / name).is_file()]
    if missing:
        raise ModelNotFoundError(
            f"there is no {missing[0]} in {options.adapter}",
            hint="Name the folder, or the hub's repository, of a LoRA adapter that peft saved in safetensors.",
        )
    return found


def _find(
    name: str | Path, revision: str | None, files: Sequence[str], options: ModelOptions, on_progress: OnProgress
) -> Files:
    folder = Path(name).expanduser()
    looks_local = isinstance(name, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_local or folder.exists():
        _refuse_revision(name, revision)
        return Files(folder, None)
    fetched = _fetch(str(name), revision, files, offline=options.offline, on_progress=on_progress)
    return Files(fetched, fetched.name)  # the hub's cache has a folder for each commit


def _refuse_revision(name: str | Path, revision: str | None) -> None:
    if revision is not None:
        raise ModelError(f"{name} has no revision {revision}", hint="Leave it out: only the hub's models have them.")


def _fetch(name: str, revision: str | None, files: Sequence[str], *, offline: bool, on_progress: OnProgress) -> Path:
    """The files from the hub, or from its cache when it can't be reached.

    All at once: asking for them one by one, as Transformers does, takes minutes to find a hub out of reach.
    The hub's client fetches in threads of its own; news of them are told in the caller's. Who stops waiting leaves them
    to themselves: they end with the next bytes, or when the hub has been silent for too long.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    news: SimpleQueue[Progress | None] = SimpleQueue()
    left = threading.Event()
    fetched: Future[str] = Future()

    def fetch() -> None:
        try:
            folder = snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(files),
                local_files_only=offline,
                tqdm_class=_telling(name, news, left),
            )
            fetched.set_result(folder)
        except BaseException as error:  # noqa: BLE001 — raised again in the caller's thread
            fetched.set_exception(error)
        news.put(None)

    threading.Thread(target=fetch, name="hub", daemon=True).start()
    try:
        with on_cancel(lambda: news.put(None)):
            while (report := news.get()) is not None:
                check()
                on_progress(report)
        check()
    finally:
        left.set()
    try:
        return Path(fetched.result())
    except GatedRepoError as error:
        raise ModelNotFoundError(
            f"{name} is given only to those who accept its terms: {first_line(error)}",
            hint="Accept them on its page at the hub, and sign in with `hf auth login`.",
        ) from error
    except Exception as error:  # whatever the hub's HTTP client has to say
        if offline or constants.HF_HUB_OFFLINE:
            raise ModelNotFoundError(
                f"{name} is not in the hub's cache, and nothing is fetched offline: {first_line(error)}",
                hint="Load it once without offline and HF_HUB_OFFLINE; --model builtin needs no download.",
            ) from error
        there_is_none = (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError)
        raise ModelNotFoundError(
            f"{name} can't be found or reached: {first_line(error)}",
            hint="Check the name and the network; --model builtin needs no download.",
            retryable=not isinstance(error, there_is_none),
        ) from error


def _telling(name: str, news: SimpleQueue[Progress | None], left: threading.Event) -> type[Any]:
    """A progress bar that is not drawn but told; the hub's client counts files and bytes with several of them."""
    from tqdm import tqdm

    base: Any = tqdm  # generic for the type checker alone
    most = 0

    class Bar(base):
        monitor_interval = 0  # no thread that watches over bars

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs, file=io.StringIO())

        def update(self, n: float | None = 1) -> bool | None:
            if left.is_set():
                raise InterruptedError("nobody waits for the download any more")
            return super().update(n)

        def display(self, *_: Any, **__: Any) -> bool:
            # what came over the network and what was written are counted apart: the one ahead is told
            nonlocal most
            if self.unit == "B" and self.n > most:
                most, rate = int(self.n), self.format_dict["rate"]
                news.put(Progress("download", name, most, int(self.total or 0) or None, "bytes", rate))
            return True

    Bar.set_lock(threading.RLock())
    return Bar
