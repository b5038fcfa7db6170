"""From a model's name to a model that is whole, or an error that says why not."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from video_tool.cancellation import check
from video_tool.errors import CheckpointError, MissingDependencyError, ModelError, VideoToolError
from video_tool.model_options import DeviceMap, ModelOptions
from video_tool.models.failures import first_line, is_out_of_memory, let_go
from video_tool.models.feature_cache import FeatureCache
from video_tool.models.fitting import model_too_large
from video_tool.models.gathering import Gatherer
from video_tool.models.hardware import Hardware, choose_hardware
from video_tool.models.hub import Files, find_adapter, find_checkpoint
from video_tool.models.lora import check_adapter, put_on
from video_tool.models.prefix_cache import PrefixCache
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.quantization import quantization_config
from video_tool.models.remote_code import needs_its_code, refuse_foreign_code
from video_tool.models.sharing import Shared
from video_tool.progress import OnProgress, Progress, ignore_progress

_FOR_FAMILIES = ("torchvision", "num2words", "timm")
"""What some families need: video processors and some image processors, SmolVLM2's prompts, PerceptionLM's tower."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint in memory.

    Attributes:
        model: ready to generate.
        processor: of the same checkpoint.
        revision: the hub's commit, or the package's version for the built-in model; None for a folder.
        adapter_revision: the hub's commit of the adapter.
        device: where its inputs go.
        device_map: the device of each module, when it is spread over several.
        attention: what the model attends by.
        gatherer: the line of those who have it generate.
        prefixes: keys and values of earlier prompts, for whoever has the turn.
        features: what the vision tower made of earlier videos and images, likewise.
        processor_lock: held by whoever has the processor work: tokenizers are no friends of threads.
    """

    model: Any
    processor: Any
    revision: str | None
    adapter_revision: str | None
    device: Any
    device_map: dict[str, str] | None
    attention: str
    gatherer: Gatherer = field(default_factory=Gatherer)
    prefixes: PrefixCache = field(default_factory=PrefixCache)
    features: FeatureCache = field(default_factory=FeatureCache)
    processor_lock: threading.RLock = field(default_factory=threading.RLock)


_SHARED: Shared[Loaded] = Shared()

_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, MemoryError)
"""What a checkpoint that is damaged, or none, has Transformers raise."""


def load(model: str | Path, options: ModelOptions, on_progress: OnProgress) -> Loaded:
    """The model, whole, and its processor; the same for all who ask for the same.

    Args:
        model: a name on the Hugging Face hub, a folder, or `builtin`.
        options: where and how it runs.
        on_progress: told how many bytes came from the hub, and when the model is there.

    Raises:
        ModelNotFoundError: there is no such model, or it can't be reached.
        CheckpointError: the checkpoint is incomplete, or none that answers questions about images.
        UntrustedCodeError: it does not run without code of its own, which was not asked for.
        OutOfMemoryError: the device does not hold it.
        MissingDependencyError: quantisation, adapter, attention or the model's family needs a package that is not
            installed.
        ModelError: the device is not there, or options do not go together.
    """
    hardware = choose_hardware(options)
    _require_packages(options)
    checkpoint, adapter = find_checkpoint(model, options, on_progress), find_adapter(options, on_progress)
    on_progress(Progress("load", str(model), 0, 1, "models"))
    kinds = {"device_map", "max_memory", "quantization", "compile", "kv_cache", "trust_remote_code"}
    how = options.model_dump_json(include=kinds)
    where = (hardware.device, hardware.dtype, hardware.attention)
    key = (checkpoint.state(), adapter and adapter.state(), how, where)
    try:
        loaded = _SHARED.get(key, lambda: _load(model, options, hardware, checkpoint, adapter))
    except ModelError as error:
        let_go(error)
        raise
    on_progress(Progress("load", str(model), 1, 1, "models"))
    return loaded


def inspect(model: str | Path, plugins: Sequence[str] | None = None) -> Preprocessor:
    """How a checkpoint wants to be asked, without its weights. Nothing is fetched. Raises as `load` does.

    Args:
        model: a name on the Hugging Face hub, a folder, or `builtin`.
        plugins: the distributions whose families are asked; None for all.
    """
    options = ModelOptions(device="cpu", offline=True)
    checkpoint = find_checkpoint(model, options, ignore_progress)
    _check_files(model, checkpoint.folder)
    with _typed_errors(model, options, choose_hardware(options), checkpoint.folder), _without_bars():
        from transformers import AutoConfig, AutoProcessor

        processor = AutoProcessor.from_pretrained(checkpoint.folder, local_files_only=True)
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        return Preprocessor(processor, config, plugins=plugins)


def _load(
    model: str | Path, options: ModelOptions, hardware: Hardware, checkpoint: Files, adapter: Files | None
) -> Loaded:
    trusted = options.trust_remote_code is not None
    _check_files(model, checkpoint.folder)
    if options.adapter is not None and adapter is not None:
        check_adapter(options.adapter, adapter.folder)
    with _typed_errors(model, options, hardware, checkpoint.folder), _without_bars():
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(checkpoint.folder, trust_remote_code=trusted, local_files_only=True)
        weights = _load_weights(model, options, hardware, checkpoint.folder, trusted=trusted)
        if options.adapter is not None and adapter is not None:
            put_on(weights, options.adapter, adapter.folder)
    _check_modules(weights, options.device_map)
    weights.eval()
    if options.compile:
        weights.compile(dynamic=True)  # lengths differ from question to question, and with every token
    placed = {str(name): _device_name(device) for name, device in getattr(weights, "hf_device_map", {}).items()}
    return Loaded(
        weights,
        processor,
        checkpoint.revision,
        adapter.revision if adapter else None,
        _input_device(weights, placed),
        placed if _is_spread(placed) else None,
        str(weights.config._attn_implementation),
    )


def _require_packages(options: ModelOptions) -> None:
    """Refuses what needs a package that is not installed, before anything is fetched for it."""
    needed = (options.quantization and options.quantization.partition("-")[0], options.adapter and "peft")
    for package in filter(None, needed):
        if find_spec(package) is None:
            raise MissingDependencyError(package, install=f"video-tool[{package}]")


def _check_files(model: str | Path, folder: Path) -> None:
    refuse_foreign_code(model, folder)
    if (folder / "adapter_config.json").is_file():
        # Transformers would put it on the model where peft is installed, and leave it out where it is not
        raise CheckpointError(
            f"{model} holds an adapter besides the model",
            hint="Move it to a folder of its own, and give that as adapter.",
        )
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"{model} holds no weights in safetensors, the only format that is read",
            hint="Pickled weights (.bin, .pt) can run code when they are read: use a checkpoint in safetensors.",
        )


def _load_weights(model: str | Path, options: ModelOptions, hardware: Hardware, folder: Path, *, trusted: bool) -> Any:
    """The model itself, of which no weight is missing or left over."""
    import torch
    from transformers import AutoModelForImageTextToText

    dtype = getattr(torch, hardware.dtype)
    arguments: dict[str, Any] = {
        "dtype": dtype,
        "use_safetensors": True,
        "trust_remote_code": trusted,
        "local_files_only": True,
        "ignore_mismatched_sizes": True,  # they are found all the same, and refused below by their names
        "output_loading_info": True,
        # a device without a number leaves the spreading over several to accelerate
        "device_map": options.device_map or ("auto" if hardware.device == "cuda" else hardware.device),
    }
    if options.max_memory is not None:
        arguments["max_memory"] = dict(options.max_memory)
    if options.quantization is not None:
        arguments["quantization_config"] = quantization_config(options.quantization, dtype)
    attention = {} if hardware.attention == "sdpa" else {"attn_implementation": hardware.attention}
    loaded: Any
    try:
        # left alone, transformers takes sdpa, and eager for a model that does not support it
        loaded = AutoModelForImageTextToText.from_pretrained(folder, **arguments, **attention)
    except (ValueError, ImportError):
        if not hardware.attention_is_ours or not attention:
            raise
        # a model without FlashAttention says so before its weights are read
        loaded = AutoModelForImageTextToText.from_pretrained(folder, **arguments)
    weights, found = loaded
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[kind]:
            # what is mismatched comes with its shapes: (name, shape, shape)
            names = sorted(key if isinstance(key, str) else str(key[0]) for key in found[kind])
            raise CheckpointError(
                f"{model}: {len(found[kind])} {kind.replace('_keys', '')} weights, such as {', '.join(names[:3])}",
                hint="The checkpoint is incomplete or belongs to another architecture: fetch it again, or use another.",
            )
    return weights


def _device_name(device: object) -> str:
    return f"cuda:{device}" if isinstance(device, int) else str(device)


def _check_modules(weights: Any, device_map: DeviceMap | None) -> None:
    """Refuses devices for modules that there are none of, which Transformers would overlook."""
    if isinstance(device_map, Mapping):
        unknown = sorted(device_map.keys() - {name for name, _ in weights.named_modules()})
        if unknown:
            raise ModelError(
                f"the model has no module {unknown[0]}",
                hint=f"Its largest are {', '.join(sorted(name for name, _ in weights.named_children()))}.",
            )


def _is_spread(placed: dict[str, str]) -> bool:
    return len(set(placed.values())) > 1 or "disk" in placed.values()


def _input_device(weights: Any, placed: dict[str, str]) -> Any:
    """Where accelerate runs what is offloaded; a model that is not spread is on one device."""
    import torch

    if not _is_spread(placed):
        return weights.device
    return torch.device(next((device for device in placed.values() if device not in ("cpu", "disk")), "cpu"))


@contextmanager
def _typed_errors(model: str | Path, options: ModelOptions, hardware: Hardware, folder: Path) -> Generator[None]:
    """The one place where the errors of loading become ours."""
    from safetensors import SafetensorError

    try:
        yield
    except VideoToolError:
        raise
    except (*_ERRORS, SafetensorError) as error:
        if is_out_of_memory(error):
            raise model_too_large(model, options, hardware, folder) from error
        if isinstance(error, ValueError) and (refused := needs_its_code(model, folder, error)):
            raise refused from error
        if missing := _missing_package(error):
            raise missing from error
        raise CheckpointError(
            f"{model} can't be loaded: {first_line(error)}",
            hint="The folder must hold a whole vision-language checkpoint in safetensors, with its processor.",
        ) from error
    except ImportError as error:
        if missing := _missing_package(error):
            raise missing from error
        raise ModelError(
            f"{model} needs a package that is not installed: {first_line(error)}",
            hint="Install it, or use another model.",
        ) from error


def _missing_package(error: Exception) -> MissingDependencyError | None:
    missing = [name for name in _FOR_FAMILIES if name in str(error).lower() and find_spec(name) is None]
    return MissingDependencyError(missing[0], install="video-tool[families]") if missing else None


@contextmanager
def _without_bars() -> Generator[None]:
    """Keeps Transformers' bars off the terminal, for this thread: what other threads load shows theirs.

    What it goes through with a bar, weight by weight, ends where nobody waits for it and the program is about to end.
    """
    from transformers.utils import logging

    thread = threading.get_ident()

    class NoBar(logging.EmptyTqdm):
        def __iter__(self) -> Iterator[Any]:
            for each in super().__iter__():
                if not threading.main_thread().is_alive():
                    check()
                yield each

    def hook(factory: Any, args: Any, kwargs: Any) -> Any:
        chosen = NoBar if threading.get_ident() == thread else factory
        return previous(chosen, args, kwargs) if previous else chosen(*args, **kwargs)

    previous: Any = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(previous)
