"""The hooks: what a plugin's functions are called for, and what they have to return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from video_tool.frames.reader import VideoReader
    from video_tool.frames.sampling import Timeline
    from video_tool.model_options import EngineOptions
    from video_tool.models.base import VideoLanguageModel
    from video_tool.models.families.family import Family
    from video_tool.progress import OnProgress
    from video_tool.settings import Settings

Kind: TypeAlias = Literal["models", "families", "sources", "readers", "samplers"]
"""What can be added; also the name of the hook, and the end of the entry-point group's."""

LoadModel: TypeAlias = "Callable[[str, EngineOptions, Settings, OnProgress], VideoLanguageModel]"
"""See `Hooks.models`."""

OpenSource: TypeAlias = "Callable[[str, Settings], BinaryIO]"
"""See `Hooks.sources`."""

Sampler: TypeAlias = "Callable[[Timeline, range, int], Sequence[int]]"
"""See `Hooks.samplers`."""

hookspec = HookspecMarker("video_tool")
hookimpl = HookimplMarker("video_tool")
"""Marks the functions of a plugin that are to be called: `from video_tool.plugins import hookimpl`."""


class Hooks:
    """The specifications: what a plugin's functions, which take no `self`, are called for and have to return."""

    @hookspec
    def models(self) -> Mapping[str, LoadModel]:
        """Backends: ways to run a model, for model names that begin with a name and a colon, as `openai:gpt` does.

        Called in the process that asks, by the first question to a model of such a name. The engine calls the function
        returned for the name when the model has to be loaded, with

        - the whole name of the model, `mine:small`;
        - the options that `VideoQA` was given, as `EngineOptions` has them, short of those left at their default;
        - the settings of the engine;
        - what to tell news of loading (`Progress("load", name, done, total, unit)`).

        It gives a `VideoLanguageModel`. The engine shares one among threads, which call `generate` side by side unless
        the model has them wait; and lets go of it to unload it.

        Raised is a `ModelError`, or a `QuestionError` for options and questions that the model can't take; any other
        exception of loading is told as a `ModelError` that names the plugin.

            @hookimpl
            def models():
                return {"mine": load}

            def load(model, options, settings, on_progress):
                return MyModel(model.removeprefix("mine:"), device=options.get("device", "cpu"))
        """
        raise NotImplementedError

    @hookspec
    def families(self) -> Mapping[str, type[Family]]:
        """Families: how checkpoints that Transformers loads take videos.

        Called in the process that asks, when the first checkpoint is loaded or looked at. Returned are subclasses of
        `video_tool.models.families.Family`. Each is asked, before ours, whether a checkpoint `fits`; one that raises
        there is left out. `Family` says what a class may change; frames are (frames, height, width, 3) RGB bytes, times
        seconds.

        Raised is a `PromptError` for what the family can't take, and a `CheckpointError` for a checkpoint that does not
        fit it.

            @hookimpl
            def families():
                return {"mine": MyFamily}

            class MyFamily(Family):
                max_frames = 16

                @classmethod
                def fits(cls, processor, config):
                    return config.model_type == "mine"
        """
        raise NotImplementedError

    @hookspec
    def sources(self) -> Mapping[str, OpenSource]:
        """Sources: files behind references that begin with a scheme and a colon, such as `gopro:GX010042.MP4`.

        Called in the process that asks, by the first reference that looks like one. http and https URLs, paths of files
        that are there and what the policy refuses (`file:`, `data:`) never get to a plugin. The function returned for a
        scheme is called with the whole reference and the settings, and gives a file object opened for reading bytes. It
        is read to its end into a private folder, in pieces, and closed. What comes of it goes through all the ceilings:
        `settings.max_download_bytes` (bytes), `settings.download_timeout` (seconds, looked at between pieces, so let
        no piece take longer), and what is refused of any file. It is not kept in the cache.

        Raised is a `SourceError`, or FileNotFoundError and PermissionError, which become one; any other exception is
        told as a `DownloadError` that names the plugin. Hosts are not checked for you: `reference` may be a stranger's.

            @hookimpl
            def sources():
                return {"gopro": open_recording}

            def open_recording(reference, settings):
                return my_camera().open(reference.removeprefix("gopro:"), timeout=settings.download_timeout)
        """
        raise NotImplementedError

    @hookspec
    def readers(self) -> Mapping[str, type[VideoReader]]:
        """Readers: decoders for video files; classes as the protocol `video_tool.frames.reader.VideoReader` has them.

        Called in the process that decodes, when that starts: it has no network (on Linux), `settings.decode_memory`
        bytes and `settings.decode_timeout` seconds, and is killed where it takes more. Yours are tried before ours, on
        files that they say they can read (`reads`, told by the first bytes); one that raises there is left out.
        Timestamps are seconds, rising, the first 0; frames are (height, width, 3) RGB bytes, upright.

        Raised is a `DecodeError` or `UnsuitableReaderError`, after which the next reader is tried, as after any other
        exception, a crash or a hang; and a `VideoTooLargeError` above the `Limits`.

            @hookimpl
            def readers():
                return {"mine": MyReader}

            class MyReader:
                def __init__(self, file, limits): self._video = my_decoder.open(file.path)
        """
        raise NotImplementedError

    @hookspec
    def samplers(self) -> Mapping[str, Sampler]:
        """Samplers: strategies that choose frames, by the name that `strategy="mine"` gives.

        Called in the process that asks, by the first question with a strategy that is not ours. The function returned
        for the name is called for each video with

        - its `Timeline`: `timestamps` (seconds at which each frame is shown), `duration` (seconds), `keyframes()` and
          `cuts(first, stop)` (indices of frames; the latter decodes all of that range);
        - the indices that are between the question's `start` and `end`, as a range of one or more;
        - how many frames are wanted, 1 or more.

        It gives indices out of the range, of one to that many frames, each once, in any order. It is arithmetic: the
        same for the same arguments, quick, and with no look at pixels.

        Raised is a `QuestionError` for a video that the strategy does not suit; any other exception, and indices that
        are none of these, are told as a `QuestionError` that names the plugin.

            @hookimpl
            def samplers():
                return {"ends": ends}

            def ends(video, frames, count):
                return sorted({frames[0], frames[-1]})[:count]
        """
        raise NotImplementedError
