"""Which model is asked, and how it is loaded and run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeAlias, TypedDict, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from video_tool.answer import ModelKind
from video_tool.errors import ModelError

Quantization: TypeAlias = Literal["bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8"]
"""How weights are made smaller while they are loaded; see `ModelOptions`."""

KVCache: TypeAlias = Literal["8bit"]
"""How a prompt's keys and values are made smaller; see `ModelOptions`."""

DeviceMap: TypeAlias = str | Mapping[str, str | int]
"""How a model is spread: one of accelerate's strategies, or a device for each module, by name."""

VideoFormat: TypeAlias = Literal["frames", "video"]
"""How a server is sent videos. `frames`: an image for each frame, with its time in words before it. `video`: one part
for all frames of a video, which vLLM takes, and with it models that see videos rather than images."""

REMOTE = "openai:"
"""What the names of models on servers begin with."""

_PREFIX = re.compile(r"([a-z][a-z0-9+._-]+):")
"""What the names of models begin with that don't run here as checkpoints: a backend's name."""

_STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")


_Options = TypeVar("_Options", bound=BaseModel)


class ModelOptions(BaseModel):
    """How a model is loaded and run; what a `VideoQA` is made with, short of the model's name."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    revision: str | None = Field(default=None, description="The hub's branch, tag or commit.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps, …; cuda may take several cards.")
    device_map: DeviceMap | None = Field(
        default=None,
        description="Instead of device: auto, balanced, balanced_low_0 or sequential spread the model over cards, main "
        "memory and disk; or a device, cpu or disk for each module, by name.",
    )
    max_memory: Mapping[str | int, str | int] | None = Field(
        default=None,
        description="Most bytes, or such as 20GiB, that device_map may take of each device: a card's number, or cpu.",
    )
    dtype: str = Field(default="auto", description="auto, float32, bfloat16 or float16.")
    attention: str = Field(default="auto", description="auto, sdpa, eager, flash_attention_2, ….")
    quantization: Quantization | None = Field(
        default=None,
        description="bitsandbytes-8bit: LLM.int8; bitsandbytes-4bit: NF4; torchao-int8: weights alone, in int8.",
    )
    adapter: str | Path | None = Field(
        default=None, description="A LoRA adapter, on the hub or in a folder, that is put on the model."
    )
    adapter_revision: str | None = Field(default=None, description="The adapter's branch, tag or commit.")
    kind: ModelKind | None = Field(
        default=None, description="chat, instruct or base: how the model wants to be asked; by default it is found out."
    )
    compile: bool = Field(
        default=False, description="Whether torch.compile makes it faster, which takes the first question a minute."
    )
    kv_cache: KVCache | None = Field(
        default=None,
        description="8bit: the keys and values of a prompt are kept in 8 bits each, in half of the memory or less; "
        "answers may differ in a word.",
    )
    trust_remote_code: str | None = Field(
        default=None, description="The model's name, once more: code that its checkpoint brings may run."
    )
    offline: bool = Field(default=False, description="Whether nothing is asked of the hub: the cache has to have it.")

    def check(self, model: str | Path) -> None:
        """Refuses options that exclude each other, or don't go with the model.

        Raises:
            ModelError: so it is.
        """
        self._check_together()
        self._check_trust(model)

    def _check_together(self) -> None:
        if isinstance(self.device_map, str) and self.device_map not in _STRATEGIES:
            raise ModelError(
                f"device_map is {self.device_map!r}",
                hint=f"Give one of {', '.join(_STRATEGIES)}, or a mapping; a single device is given as device.",
            )
        for option, needed in (("max_memory", "device_map"), ("adapter_revision", "adapter")):
            if getattr(self, option) is not None and getattr(self, needed) is None:
                raise ModelError(f"{option} is given without {needed}", hint=f"Give {needed}, or leave out {option}.")
        if self.device_map is not None and self.device != "auto":
            raise ModelError("device and device_map are given together", hint="Leave out one of them.")
        if "/" in self.attention:
            raise ModelError(
                f"attention is {self.attention!r}: kernels are not fetched from the hub",
                hint="Give auto, sdpa, eager or flash_attention_2.",
            )

    def _check_trust(self, model: str | Path) -> None:
        if self.trust_remote_code is not None and Path(self.trust_remote_code) != Path(model):
            raise ModelError(
                f"trust_remote_code names {self.trust_remote_code}, and the model is {model}",
                hint="It has to name the very model whose code may run.",
            )


class RemoteOptions(BaseModel):
    """How a server is asked for a model that it runs, `openai:NAME`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    base_url: str | None = Field(
        default=None,
        description="Where its API begins, such as http://127.0.0.1:8000/v1; by default what OPENAI_BASE_URL says, or "
        "OpenAI's own. It is the caller's choice: no policy is asked about it.",
    )
    api_key: str | None = Field(
        default=None,
        repr=False,
        description="By default what OPENAI_API_KEY says; servers with a base_url may do without.",
    )
    timeout: float = Field(default=600.0, gt=0, description="Seconds that the server may be silent.")
    max_retries: int = Field(
        default=2,
        ge=0,
        description="How often a request is sent again, after a growing pause, before anything of the answer has come; "
        "a pause that the server asks for is kept, up to two minutes.",
    )
    video_format: VideoFormat = Field(default="frames", description="frames or video: how videos are sent.")

    @field_validator("base_url")
    @classmethod
    def _web_address(cls, given: str | None) -> str | None:
        if given is not None and urlsplit(given).scheme not in ("http", "https"):
            raise ValueError("it is no URL such as http://127.0.0.1:8000/v1")
        return given

    def at(self, base_url: str | None) -> Self:
        """The same, at this address where none was given."""
        return self.model_copy(update={"base_url": self.base_url or base_url})


@dataclass(frozen=True)
class PluginOptions:
    """What a plugin's backend is given for a model of its own, `NAME:…`.

    Attributes:
        backend: its name.
        given: the options of either kind that are not left at their default, each of its type; what they mean together
            is for the backend to say.
    """

    backend: str
    given: EngineOptions = field(repr=False)  # a key may be among them


def options_of(model: str | Path, options: EngineOptions) -> ModelOptions | RemoteOptions | PluginOptions:
    """The options given as arguments, checked as far as they can be before the model is asked.

    Args:
        model: says whether it runs here, on a server, `openai:NAME`, or by a plugin's backend, `NAME:…`.
        options: those of either kind that are left at their default are taken for not given.

    Raises:
        ModelError: one is of a wrong type or value, or for models of the other kind, or two exclude each other.
        TypeError: there is no such option.
    """
    known = {**ModelOptions.model_fields, **RemoteOptions.model_fields}
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        raise TypeError(f"there is no option {unknown[0]!r}: there are {', '.join(sorted(known))}")
    backend = backend_of(model)
    if backend is not None and not is_remote(model):
        for kind in (ModelOptions, RemoteOptions):
            _validated(kind, options)
        given = {name: value for name, value in options.items() if value != known[name].default}
        return PluginOptions(backend, cast("EngineOptions", given))
    kind = RemoteOptions if is_remote(model) else ModelOptions
    given = {
        name: value for name, value in options.items() if name in kind.model_fields or value != known[name].default
    }
    foreign = sorted(given.keys() - kind.model_fields.keys())
    if foreign:
        where = "on a server, and is loaded there" if is_remote(model) else "here, and not on a server"
        raise ModelError(
            f"{foreign[0]} is given, and {model} runs {where}",
            hint=f"Leave it out, or {'name a model that runs here' if is_remote(model) else 'write openai:NAME'}.",
        )
    made = _validated(kind, options)
    if isinstance(made, ModelOptions):
        made.check(model)
    return made


def _validated(kind: type[_Options], options: EngineOptions) -> _Options:
    try:
        return kind.model_validate({name: value for name, value in options.items() if name in kind.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        name, why = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        value = "of no use" if name in ("api_key", "base_url") else repr(first["input"])  # those may hold secrets
        raise ModelError(f"{name} is {value}: {why}", hint="Give it as VideoQA describes it.") from None


def is_remote(model: str | Path) -> bool:
    """Whether a model's name says that a server runs it: `openai:NAME`."""
    return isinstance(model, str) and model.startswith(REMOTE)


def backend_of(model: str | Path) -> str | None:
    """The backend that a model's name names, `openai` or a plugin's; None for a checkpoint's name or folder."""
    found = _PREFIX.match(model) if isinstance(model, str) else None
    return found and found[1]


class LoadOptions(TypedDict, total=False):
    """The fields of `ModelOptions`, as arguments."""

    revision: str | None
    device: str
    device_map: DeviceMap | None
    max_memory: Mapping[str | int, str | int] | None
    dtype: str
    attention: str
    quantization: Quantization | None
    adapter: str | Path | None
    adapter_revision: str | None
    kind: ModelKind | None
    compile: bool
    kv_cache: KVCache | None
    trust_remote_code: str | None
    offline: bool


class ServerOptions(TypedDict, total=False):
    """The fields of `RemoteOptions`, as arguments."""

    base_url: str | None
    api_key: str | None
    timeout: float
    max_retries: int
    video_format: VideoFormat


class EngineOptions(LoadOptions, ServerOptions, total=False):
    """All that a `VideoQA` may be made with, besides its model."""
