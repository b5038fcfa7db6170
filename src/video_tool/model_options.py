"""Which model is asked, and how it is loaded and run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, TypeAlias, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from video_tool.answer import ModelKind
from video_tool.errors import ModelError

Quantization: TypeAlias = Literal["bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8"]
"""How weights are made smaller while they are loaded; see `ModelOptions`."""

DeviceMap: TypeAlias = str | Mapping[str, str | int]
"""How a model is spread: one of accelerate's strategies, or a device for each module, by name."""

_STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")


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
    trust_remote_code: str | None = Field(
        default=None, description="The model's name, once more: code that its checkpoint brings may run."
    )
    offline: bool = Field(default=False, description="Whether nothing is asked of the hub: the cache has to have it.")

    @classmethod
    def of(cls, model: str | Path, options: LoadOptions) -> Self:
        """The options given as arguments, checked as far as they can be before anything is loaded.

        Raises:
            ModelError: one is of a wrong type or value, or two exclude each other.
            TypeError: there is no such option.
        """
        unknown = sorted(options.keys() - cls.model_fields.keys())
        if unknown:
            raise TypeError(f"there is no option {unknown[0]!r}: there are {', '.join(sorted(cls.model_fields))}")
        try:
            made = cls.model_validate(options)
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelError(
                f"{first['loc'][0]} is {first['input']!r}: {first['msg']}", hint="Give it as VideoQA describes it."
            ) from error
        made._check_together()
        made._check_trust(model)
        return made

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
    trust_remote_code: str | None
    offline: bool
