"""The tools over one engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from video_tool.adapters.arguments import read_arguments
from video_tool.adapters.explaining import OPERATORS, explain
from video_tool.adapters.gate import Gate
from video_tool.adapters.replies import answer_text, frames_text, probe_text, readable
from video_tool.adapters.results import Cost, FramesResult, ProbeResult, ToolImage, ToolResult
from video_tool.adapters.tools import TOOLS, VIDEO_FRAMES, VIDEO_PROBE, VIDEO_QA
from video_tool.answer import VideoAnswer
from video_tool.cancellation import CancelScope, run_in_thread
from video_tool.engine import VideoQA
from video_tool.errors import QuestionError, VideoTooLargeError, VideoToolError
from video_tool.frames import FetchedMedia, fetch_video, probe_fetched, read_video
from video_tool.model_options import EngineOptions, is_remote
from video_tool.progress import OnProgress, Progress, ignore_progress
from video_tool.question import GenerationOptions, Sampling, VideoQuestion
from video_tool.receipt import stamps
from video_tool.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger("video_tool.tools")

_LONGEST_SIDE = 768
"""Pixels of a frame that is shown to a model: providers scale larger ones down, to 768 on the short side at the most
(OpenAI's guide on images and vision), and charge by size."""

_JPEG_QUALITY = 85

_SHORT_QUESTION = VideoQuestion(question="What happens in the video?")
"""What a probe plans with: a question's own words take few tokens beside frames."""

_Content = TypeVar("_Content", VideoAnswer, ProbeResult, FramesResult)

_listening: ContextVar[OnProgress] = ContextVar("video_tool_call_progress", default=ignore_progress)


class Toolbox:
    """The tools, and the one engine that they ask; threads and tasks may share it.

    Nothing is loaded before the first call. It can be pickled: what is loaded stays behind. Copies are the toolbox
    itself: hosts copy their tools, and a second engine would load the model again.

    Files of this machine are read only where `settings.allowed_roots` was given, by argument or
    `VIDEO_TOOL_ALLOWED_ROOTS`: the model that calls is not the user.

    Args:
        model: as for `VideoQA`.
        settings: as for `VideoQA`; `max_calls`, `max_waiting_calls`, `call_timeout` and `mark_untrusted` are for tools
            alone.
        **options: as for `VideoQA`.
    """

    def __init__(
        self, model: str | Path | None = None, *, settings: Settings | None = None, **options: Unpack[EngineOptions]
    ) -> None:
        given = settings or Settings()
        if "allowed_roots" not in given.model_fields_set:
            given = given.model_copy(update={"allowed_roots": ()})
        self.settings = given
        self._model = model
        self._options = options
        self._making = threading.Lock()
        self._gate = Gate(given.max_calls, given.max_waiting_calls)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self._model, "settings": self.settings, "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Toolbox.__init__(self, state["model"], settings=state["settings"], **state["options"])

    def __copy__(self) -> Toolbox:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Toolbox:
        return self

    @cached_property
    def engine(self) -> VideoQA:
        """The engine; made when it is first needed."""
        with self._making:
            if "engine" not in self.__dict__:
                self.__dict__["engine"] = VideoQA(
                    self._model,
                    settings=self.settings,
                    on_progress=_tell,
                    **self._options,
                )
            return self.__dict__["engine"]

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | str,
        *,
        on_progress: OnProgress = ignore_progress,
        seconds: float | None = None,
    ) -> ToolResult:
        """Runs a tool. What goes wrong is part of the result, and told to the log of `video_tool.tools`.

        A `CancelScope` around it can stop it.

        Args:
            name: the tool's.
            arguments: an object or its JSON, as `tools` describes them; null stands for what is taken by default.
            on_progress: told about each stage, from the thread that works.
            seconds: the deadline; by default, and at the most, `settings.call_timeout`.
        """
        try:
            with CancelScope(min(seconds or self.settings.call_timeout, self.settings.call_timeout)):
                return self._call(name, arguments, on_progress)
        except VideoToolError as error:
            level = logging.WARNING if isinstance(error, OPERATORS) else logging.INFO
            _log.log(level, "%s: %s. %s", name, error, error.hint)
            told = explain(error)
            return ToolResult(text=told.message, content=None, error=told, readable=told.model_dump(mode="json"))

    async def acall(
        self,
        name: str,
        arguments: Mapping[str, Any] | str,
        *,
        on_progress: OnProgress = ignore_progress,
        seconds: float | None = None,
    ) -> ToolResult:
        """`call`, in a thread of its own; cancelling the task stops the work, and does not wait for it."""
        return await run_in_thread(partial(self.call, name, arguments, on_progress=on_progress, seconds=seconds))

    def _call(self, name: str, arguments: Mapping[str, Any] | str, on_progress: OnProgress) -> ToolResult:
        if name not in TOOLS:
            raise QuestionError("there is no such tool", hint=f"there are {', '.join(TOOLS)}")
        read = read_arguments(TOOLS[name].arguments, arguments)
        runs: dict[str, Callable[[Any], ToolResult]] = {
            VIDEO_QA.name: self._answer,
            VIDEO_PROBE.name: self._probe,
            VIDEO_FRAMES.name: self._frames,
        }
        with self._gate.passed(), _heard_by(on_progress):
            return runs[name](read)

    def _answer(self, asked: Any) -> ToolResult:
        said = {} if asked.max_new_tokens is None else {"max_new_tokens": asked.max_new_tokens}
        answer = self.engine.answer(
            VideoQuestion(
                question=asked.question,
                videos=asked.videos,
                images=asked.images,
                sampling=Sampling(num_frames=asked.num_frames, start=asked.start, end=asked.end),
                generation=GenerationOptions(**said),
            )
        )
        return self._result(_without_host(answer), partial(answer_text, marked=self.settings.mark_untrusted))

    def _probe(self, asked: Any) -> ToolResult:
        cost = None
        with fetch_video(asked.video, self.settings, _listening.get()) as fetched:
            report = probe_fetched(fetched)
            if report.refusal is None:
                plan = self.engine.plan_fetched(_SHORT_QUESTION, FetchedMedia((fetched,), (), ()))
                if plan.prompt_tokens is not None:
                    cost = Cost(
                        num_frames=len(plan.frames),
                        prompt_tokens=plan.prompt_tokens,
                        context_tokens=plan.context_tokens,
                        max_frames=plan.max_frames,
                    )
        refusal = report.refusal and explain(VideoTooLargeError(report.refusal.message)).message
        result = ProbeResult(video=report.video, size_bytes=report.size_bytes, cost=cost, refusal=refusal)
        return self._result(result, probe_text)

    def _frames(self, asked: Any) -> ToolResult:
        sampling = Sampling(num_frames=asked.num_frames, timestamps=asked.timestamps, start=asked.start, end=asked.end)
        frames = read_video(asked.video, sampling, self.settings, _listening.get())
        result = FramesResult(video=frames.info, frames=stamps([frames]), warnings=frames.warnings)
        images = tuple(
            ToolImage(data=_encoded(image), media_type="image/jpeg", timestamp=timestamp)
            for image, timestamp in zip(frames.images, frames.timestamps, strict=True)
        )
        return self._result(result, partial(frames_text, marked=self.settings.mark_untrusted), images)

    def _result(
        self, content: _Content, write: Callable[[_Content], str], images: tuple[ToolImage, ...] = ()
    ) -> ToolResult:
        told = readable(content, marked=self.settings.mark_untrusted)
        return ToolResult(text=write(content), content=content, images=images, readable=told)


@cache
def shared_toolbox() -> Toolbox:
    """The toolbox of this process, made as `VIDEO_TOOL_*` say, for all surfaces that are not told otherwise."""
    return Toolbox()


@contextmanager
def _heard_by(on_progress: OnProgress) -> Generator[None]:
    token = _listening.set(on_progress)
    try:
        yield
    finally:
        _listening.reset(token)


def _tell(news: Progress) -> None:
    """The engine is one for all calls: each call listens for itself."""
    _listening.get()(news)


def _without_host(answer: VideoAnswer) -> VideoAnswer:
    """An answer that does not say where on this machine, or on which server, its model is."""
    info = answer.model
    named = info.id if is_remote(info.id) else Path(info.id).name if Path(info.id).is_absolute() else info.id
    told: dict[str, Any] = {"id": named, "device": "a server" if is_remote(info.id) else info.device}
    if info.adapter is not None and Path(info.adapter).is_absolute():
        told["adapter"] = Path(info.adapter).name
    return answer.model_copy(update={"model": info.model_copy(update=told)})


def _encoded(frame: NDArray[np.uint8]) -> bytes:
    """A frame (height, width, 3) as JPEG."""
    from PIL import Image

    image = Image.fromarray(frame)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
