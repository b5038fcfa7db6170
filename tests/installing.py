"""Distributions that tests install, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def install(source: Path, folder: Path) -> Path:
    """Builds the distribution in a folder and installs it into another, from nothing but what is here."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--quiet")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(source)]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder
