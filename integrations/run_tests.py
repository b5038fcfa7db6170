"""Tests integrations, each in an environment of its own: `python integrations/run_tests.py [NAME …]`.

An environment holds what one framework needs, and lies over the one that this runs in: what that has in a version that
the framework takes is not installed again. It is kept outside the checkout for as long as the requirements are the
same, and serves every checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "video-tool-dev" / "integrations"
BASE_REQUIREMENTS = (HERE.parent / "pyproject.toml", HERE.parent / "constraints.txt")


def main() -> int:
    there_are = sorted(manifest.parent.name for manifest in HERE.glob("*/pyproject.toml"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(there_are)}")
    parser.add_argument("--pytest", default="", metavar="ARGUMENTS", help='for pytest, such as --pytest="-k markers"')
    asked = parser.parse_args()
    unknown = set(asked.names) - set(there_are)
    if unknown:
        parser.error(f"there is no integration {', '.join(sorted(unknown))}")
    failed: list[str] = []
    for name in asked.names or there_are:
        began = time.monotonic()
        python = _environment(HERE / name)
        print(f"── {name}: environment ready after {time.monotonic() - began:.0f} s", flush=True)
        if subprocess.run(
            [python, "-m", "pytest", "-q", HERE / name, *shlex.split(asked.pytest)], check=False
        ).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all integrations passed", flush=True)
    return 1 if failed else 0


def _environment(folder: Path) -> Path:
    """The interpreter of an integration's environment, which is built where its requirements are new."""
    place = ENVIRONMENTS / folder.name
    python = place / "bin" / "python"
    stamp = place / ".installed"
    wanted = _wanted(folder)
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.EnvBuilder(clear=True).create(place)
    _lay_over(place)
    if not stamp.exists():
        group = f"{folder / 'pyproject.toml'}:test"
        _pip(python, "--constraint", folder / "constraints.txt", "--editable", folder, "--group", group)
        stamp.write_text(wanted)
    else:  # it may have been another checkout's
        _pip(python, "--no-deps", "--editable", folder)
    return python


def _wanted(folder: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in (*BASE_REQUIREMENTS, folder / "pyproject.toml", folder / "constraints.txt"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _lay_over(place: Path) -> None:
    """Has an environment find, after its own packages, those of the one that this runs in, and pip with them."""
    paths = sysconfig.get_paths(vars={"base": str(place), "platbase": str(place)})
    below = sysconfig.get_paths()["purelib"]
    (Path(paths["purelib"]) / "base.pth").write_text(f"import site; site.addsitedir({below!r})\n")


def _pip(python: Path, *arguments: str | Path) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-build-isolation"]
    subprocess.run([python, "-m", "pip", "install", *quiet, *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
