"""Who runs a model: Transformers, a server, or a backend of another package, for names that begin with its prefix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from video_tool.errors import ModelError, ModelNotFoundError, VideoToolError
from video_tool.model_options import REMOTE, ModelOptions, PluginOptions, RemoteOptions
from video_tool.models.base import VideoLanguageModel
from video_tool.models.failures import first_line
from video_tool.plugins import Extensions, LoadModel, Plugin
from video_tool.progress import OnProgress
from video_tool.settings import Settings

_OURS = (REMOTE.removesuffix(":"), "builtin")
_METHODS = ("check_length", "generate")


def _misfit(offer: Any) -> str:
    return "" if callable(offer) else "it is no function"


BACKENDS: Extensions[LoadModel] = Extensions("models", _OURS, _misfit)
"""Those of other packages."""


def load_model(
    model: str | Path,
    options: ModelOptions | RemoteOptions | PluginOptions,
    settings: Settings,
    on_progress: OnProgress,
) -> VideoLanguageModel:
    """A model, ready to answer, whoever runs it.

    Args:
        model: its name, or the folder of a checkpoint.
        options: how it is run.
        settings: where a server is, which plugins count, and how much is kept of earlier questions.
        on_progress: told about loading.

    Raises:
        ModelError: it can't be loaded.
    """
    if isinstance(options, RemoteOptions):
        from video_tool.models.openai import OpenAIModel

        return OpenAIModel(str(model), options.at(settings.base_url))
    if isinstance(options, PluginOptions):
        return load_plugged(str(model), options, settings, on_progress)
    from video_tool.models.transformers import TransformersModel

    return TransformersModel(
        model,
        options,
        on_progress,
        settings.plugins,
        settings.prefix_cache_bytes,
        settings.feature_cache_bytes,
    )


def find_backend(model: str, backend: str, settings: Settings) -> tuple[Plugin, LoadModel]:
    """Which plugin runs a model, and what loads it.

    Args:
        model: its whole name.
        backend: what the name begins with.
        settings: say which plugins count.

    Raises:
        ModelNotFoundError: there is no such backend.
    """
    found = BACKENDS.use(settings.plugins)
    if backend not in found.offers:
        known = ", ".join(f"{name}:" for name in (_OURS[0], *found.offers))
        raise ModelNotFoundError(
            f"{model}: there is no backend {backend}",
            hint=f"There is {known}; a folder with a colon in its name is written with ./ before it.",
        )
    return found.plugin(backend), found.offers[backend]


def load_plugged(model: str, options: PluginOptions, settings: Settings, on_progress: OnProgress) -> VideoLanguageModel:
    """A model, as a plugin's backend loads it.

    Raises:
        ModelNotFoundError: there is no such backend.
        ModelError: it fails.
        VideoToolError: what else the backend says.
    """
    plugin, load = find_backend(model, options.backend, settings)
    try:
        loaded = load(model, options.given, settings, on_progress)
        missing = [name for name in _METHODS if not callable(getattr(loaded, name, None))]
        missing += [name for name in ("info", "frame_size") if not hasattr(loaded, name)]
    except VideoToolError:
        raise
    except Exception as error:
        raise ModelError(
            f"{model} can't be loaded: {plugin.origin} failed: {type(error).__name__}: {first_line(error)}",
            hint="Use another model, and tell the plugin's authors.",
        ) from error
    if missing:
        raise ModelError(
            f"{model} can't be loaded: {plugin.origin} gave {type(loaded).__name__}, which has no {missing[0]}",
            hint="Use another model, and tell the plugin's authors: it has to be a VideoLanguageModel.",
        )
    return loaded
