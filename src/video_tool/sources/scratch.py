"""Private folders for what is needed only for a while."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from video_tool.sources.failures import unwritable


@contextmanager
def private_folder(name: str) -> Generator[Path]:
    """A new folder in the temp folder, removed after the with-block.

    Args:
        name: how errors call what goes into it.

    Raises:
        StorageError: it can't be made.
    """
    try:
        # Windows can't remove a file that a broken-off download still holds: that must not hide the error behind it.
        folder = tempfile.TemporaryDirectory(prefix="video-tool-", ignore_cleanup_errors=os.name == "nt")
    except OSError as error:
        raise unwritable(name) from error
    with folder as path:
        yield Path(path)
