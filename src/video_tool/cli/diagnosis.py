"""What `video-tool doctor` finds out about the machine."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from video_tool.builtin import CHECKPOINT
from video_tool.cli.options import load_settings
from video_tool.errors import ModelNotFoundError, VideoToolError
from video_tool.sources.naming import redact

if TYPE_CHECKING:
    from video_tool.plugins import Plugin
    from video_tool.settings import Settings

DISTRIBUTION = "video-tool"

_SERVER_SECONDS = 10.0
"""How long a server may take to say which models it has: it computes nothing for that."""

# Those whose libraries can be broken though the package is there: only an import tells.
_NATIVE = {"torch": "torch", "av": "av", "decord2": "decord", "numpy": "numpy", "pillow": "PIL.Image"}
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(\[[^]]*\])?\s*(>=\s*(?P<least>[\d.]+))?[^;]*(;.*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"])?"
)


@dataclass(frozen=True)
class Package:
    """A distribution that is needed, or brings an extra."""

    name: str
    needed: str
    version: str | None
    problem: str = ""


@dataclass(frozen=True)
class Extra:
    """An optional part of the package."""

    name: str
    installed: bool
    install: str


@dataclass(frozen=True)
class ComputeDevice:
    """Something that a model could run on."""

    device: str
    name: str
    memory_bytes: int | None


@dataclass(frozen=True)
class Choice:
    """What a question would be answered with."""

    device: str
    dtype: str
    attention: str
    reason: str


@dataclass(frozen=True)
class ModelState:
    """The model that would answer, and whether it is here."""

    id: str
    state: str
    cache: str | None
    cache_free_bytes: int | None
    kind: str | None = None
    takes: str | None = None
    context_tokens: int | None = None


@dataclass(frozen=True)
class SettingValue:
    """One setting in force."""

    variable: str
    value: str | int | float
    default: bool


@dataclass
class Diagnosis:
    """All findings; `problems` are those without which no question can be asked."""

    version: str | None = None
    python: str = f"{platform.python_version()} ({sys.executable})"
    platform: str = platform.platform()
    packages: list[Package] = field(default_factory=list[Package])
    extras: list[Extra] = field(default_factory=list[Extra])
    plugins: list[Plugin] = field(default_factory=list["Plugin"])
    devices: list[ComputeDevice] = field(default_factory=list[ComputeDevice])
    choice: Choice | None = None
    model: ModelState | None = None
    settings: list[SettingValue] = field(default_factory=list[SettingValue])
    notes: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])


def own_version() -> str | None:
    """The installed version; None when the package runs from its source without being installed."""
    return _version(DISTRIBUTION)


def diagnose(model: str | None, base_url: str | None, device: str, dtype: str, attention: str) -> Diagnosis:
    """Look at everything, also past the first problem."""
    found = Diagnosis(version=own_version())
    _look_at_packages(found)
    runs_here = _look_at_settings(found, model, base_url)
    if not any(package.name == "torch" and package.problem for package in found.packages):
        _look_at_hardware(found)
        if runs_here:
            _look_at_choice(found, device, dtype, attention)
    return found


def _look_at_packages(found: Diagnosis) -> None:
    extras: dict[str, list[Package]] = {}
    for requirement in _requirements():
        extra = requirement["extra"]
        if extra:
            extras.setdefault(extra, []).append(_package(requirement["name"], requirement["least"]))
        else:
            package = _package(requirement["name"], requirement["least"])
            found.packages.append(package)
            if package.problem:
                found.problems.append(f"{package.name} {package.problem}: pip install '{package.needed}'")
    for name, packages in extras.items():
        installed = not any(package.problem for package in packages)
        found.extras.append(Extra(name, installed, f"pip install '{DISTRIBUTION}[{name}]'"))
    if found.version is None:
        found.notes.append("video-tool runs from its source: the versions of what it needs are not checked")
    if _version("decord"):
        found.notes.append("decord is installed beside decord2 and hides it: pip uninstall decord, reinstall decord2")


def _requirements() -> Iterator[re.Match[str]]:
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        lines = list(_NATIVE)  # no list to go by, but these say whether anything works at all
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match:
            yield match


def _package(name: str, least: str | None) -> Package:
    needed = f"{name}>={least}" if least else name
    version = _version(name)
    if version is None:
        return Package(name, needed, None, "is not installed")
    if least and _release(version) < _release(least):
        return Package(name, needed, version, f"{version} is too old")
    if name in _NATIVE:
        try:
            importlib.import_module(_NATIVE[name])
        except (ImportError, OSError, RuntimeError) as error:
            return Package(name, needed, version, f"can't be imported ({str(error).splitlines()[0]})")
    return Package(name, needed, version)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros: 2 is as new as 2.0."""
    numbers = [int(number) for number in re.findall(r"\d+", version.split("+", maxsplit=1)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _look_at_settings(found: Diagnosis, model: str | None, base_url: str | None) -> bool:
    """Looks at plugins and the model, too; whether that is one that we run here."""
    try:
        settings = load_settings()
    except VideoToolError as error:
        found.problems.append(f"{error}. {error.hint}")
        return True
    for name in type(settings).model_fields:
        variable = f"VIDEO_TOOL_{name.upper()}"
        value = getattr(settings, name)
        value = redact(value) if name == "base_url" and value else _as_in_variable(value)
        found.settings.append(SettingValue(variable, value, name not in settings.model_fields_set))

    from video_tool.model_options import backend_of, is_remote
    from video_tool.settings import DEFAULT_MODEL

    with suppress(ImportError):  # a package is missing, and has been reported
        _look_at_plugins(found, settings)
    asked = model or settings.model
    if asked == DEFAULT_MODEL:
        found.notes.append(f"{DEFAULT_MODEL} may be used for research only, by its licence")
    try:
        if is_remote(asked):
            found.model = _server_state(asked, base_url or settings.base_url)
        elif backend := backend_of(asked):
            found.model = _plugged_state(asked, backend, settings)
        else:
            found.model = _model_state(asked, settings.plugins)
    except VideoToolError as error:
        found.problems.append(f"{error}. {error.hint}")
    except ImportError:
        pass  # a package is missing, and has been reported
    return backend_of(asked) is None


def _look_at_plugins(found: Diagnosis, settings: Settings) -> None:
    from video_tool.cli.plugins import every_plugin

    found.plugins += every_plugin(settings.plugins)


def _plugged_state(model: str, backend: str, settings: Settings) -> ModelState:
    from video_tool.models import find_backend

    plugin, _ = find_backend(model, backend, settings)
    return ModelState(model, f"run by {plugin.origin}", None, None)


def _as_in_variable(value: str | float | Path | tuple[str | Path, ...] | None) -> str | int | float:
    """A setting as its variable would hold it; empty when there is none."""
    if isinstance(value, tuple):
        return (os.pathsep if any(isinstance(part, Path) for part in value) else ",").join(map(str, value))
    if value is None or isinstance(value, Path):
        return str(value or "")
    return value


def _server_state(model: str, base_url: str | None) -> ModelState:
    from video_tool.model_options import RemoteOptions
    from video_tool.models.openai import OpenAIModel

    server = OpenAIModel(model, RemoteOptions(base_url=base_url, timeout=_SERVER_SECONDS, max_retries=0))
    where = server.info.device
    try:
        models = server.models()
    except ModelNotFoundError:
        return ModelState(model, f"{where} answers, and has no list of its models", None, None)
    if model.partition(":")[2] not in models:
        raise ModelNotFoundError(
            f"{where} does not have {model.partition(':')[2]}", hint=f"It has {', '.join(models) or 'no models'}"
        )
    return ModelState(model, f"{where} answers and has it", None, None)


def _model_state(model: str, plugins: Sequence[str] | None) -> ModelState:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    cache = Path(constants.HF_HUB_CACHE)
    existing = next((folder for folder in (cache, *cache.parents) if folder.is_dir()), None)
    free = shutil.disk_usage(existing).free if existing else None

    def state(words: str, *, here: bool = True) -> ModelState:
        found = ModelState(model, words, str(cache), free)
        return _with_ways(found, plugins) if here else found

    if model == "builtin":
        if any(CHECKPOINT.glob("*.safetensors")):
            return state("in the package")
        raise ModelNotFoundError(
            "the built-in model's weights are not in this copy of the package", hint="Reinstall it"
        )
    folder = Path(model).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return state("a folder on this machine")
        raise ModelNotFoundError(f"{model} holds no config.json", hint="Name the folder of a checkpoint")
    try:
        config = try_to_load_from_cache(model, "config.json")
    except HFValidationError as error:
        raise ModelNotFoundError(
            f"{model} is neither a folder nor a name on the Hugging Face hub", hint="Try --model builtin"
        ) from error
    if isinstance(config, str) and any(Path(config).parent.glob("*.safetensors")):
        return state("downloaded")
    if constants.HF_HUB_OFFLINE:
        raise ModelNotFoundError(
            f"{model} is not downloaded, and HF_HUB_OFFLINE forbids to", hint="Unset it, or try --model builtin"
        )
    return state("not here: the first question downloads it", here=False)


def _with_ways(found: ModelState, plugins: Sequence[str] | None) -> ModelState:
    """How a checkpoint that is here wants to be asked; its weights are not read for that."""
    from video_tool.models.loading import inspect

    asked = inspect(found.id, plugins)
    style = asked.family.style
    takes = style.video_token or f"{style.image_token} for each frame"
    return replace(found, kind=asked.kind, takes=takes, context_tokens=asked.context_tokens)


def _look_at_hardware(found: Diagnosis) -> None:
    import torch

    found.devices.append(ComputeDevice("cpu", f"{platform.machine()}, {os.cpu_count()} cores", _main_memory()))
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            found.devices.append(ComputeDevice(f"cuda:{number}", properties.name, properties.total_memory))
    elif torch.version.cuda:
        found.notes.append(f"torch is built for CUDA {torch.version.cuda}, but finds no CUDA device")
    if torch.backends.mps.is_available():
        found.devices.append(ComputeDevice("mps", "Apple GPU", torch.mps.recommended_max_memory()))


def _look_at_choice(found: Diagnosis, device: str, dtype: str, attention: str) -> None:
    from video_tool.model_options import ModelOptions
    from video_tool.models.hardware import choose_hardware

    try:
        chosen = choose_hardware(ModelOptions(device=device, dtype=dtype, attention=attention))
    except VideoToolError as error:
        found.problems.append(f"{error}. {error.hint}")
        return
    found.choice = Choice(chosen.device, chosen.dtype, chosen.attention, chosen.reason)


def _main_memory() -> int | None:
    if not hasattr(os, "sysconf"):  # Windows
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
