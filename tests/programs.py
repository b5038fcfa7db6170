"""Programs that tests start, and distributions that they install, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_MEASURING = "COVERAGE_PROCESS_CONFIG"
"""With this variable, coverage measures each Python program from its first line on."""


def unmeasured() -> dict[str, str]:
    """The environment, for programs whose coverage is none: they run what other tests run in this process.

    To be measured makes importing torch and Transformers half as long again.
    """
    return {name: value for name, value in os.environ.items() if name != _MEASURING}


def measured() -> dict[str, str]:
    """What has to stand in the environment of a program for its coverage; nothing where there is no coverage."""
    return {name: value for name, value in os.environ.items() if name == _MEASURING}


def install(source: Path, folder: Path) -> Path:
    """Builds the distribution in a folder and installs it into another, from nothing but what is here."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--quiet")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(source)]
    environment = unmeasured() | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder
