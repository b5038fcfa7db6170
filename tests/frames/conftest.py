"""What tests of decoding share."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.programs import measured


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def unmeasured_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts decoding processes without coverage: those that are killed never write down what ran in them, and what
    the others run is measured by the tests of readers.
    """
    for name in measured():
        monkeypatch.delenv(name)
