"""An engine's model: loaded when it is needed, let go of when nobody asks it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import ref

from video_tool.cancellation import acquire, check
from video_tool.models.base import VideoLanguageModel
from video_tool.models.failures import give_back_memory


@dataclass
class InUse:
    """A model while it is used, and the seconds that loading it took just now."""

    _model: VideoLanguageModel | None
    load_seconds: float

    @property
    def model(self) -> VideoLanguageModel:
        """The model; not to be kept, or unloading would not give back its memory."""
        if self._model is None:
            raise RuntimeError("the model is no longer in use")
        return self._model

    def end(self) -> None:
        """Forgets the model."""
        self._model = None


class HeldModel:
    """A model that is loaded by the first who uses it.

    Args:
        idle_seconds: let go of it when nobody has used it for so long; None never does.
    """

    def __init__(self, idle_seconds: float | None) -> None:
        self._idle_seconds = idle_seconds
        self._loading = threading.Lock()
        self._state = threading.Lock()  # guards what follows, and is held for moments only
        self._model: VideoLanguageModel | None = None
        self._users = 0
        self._idle_since = 0.0
        self._timer: threading.Timer | None = None

    @property
    def model(self) -> VideoLanguageModel | None:
        """The model, if it is loaded."""
        return self._model

    @contextmanager
    def in_use(self, load: Callable[[], VideoLanguageModel]) -> Generator[InUse]:
        """The model, which `load` makes if there is none; it is not let go of meanwhile.

        Raises:
            CancelledError, DeadlineError: the work around is to stop. Somebody else's loading is not waited for then;
                loading that has begun goes on to its end, and the model is kept.
        """
        with self._state:
            self._users += 1
        used: InUse | None = None
        try:
            used = self._loaded(load)
            check()
            yield used
        finally:
            if used is not None:
                used.end()
            with self._state:
                self._users -= 1
                self._idle_since = time.monotonic()
                unused, loaded = self._users == 0, self._model is not None
                if unused and loaded and self._idle_seconds is not None and self._timer is None:
                    self._wait(self._idle_seconds)
            if unused and not loaded:  # it was unloaded in the meantime
                give_back_memory()

    def unload(self) -> None:
        """Lets go of the model: at once, or when the questions that it answers right now have their answers."""
        with self._state:
            loaded, self._model = self._model is not None, None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if loaded:  # else there is nothing to give back, and looking for it holds up a large process
            give_back_memory()

    def _loaded(self, load: Callable[[], VideoLanguageModel]) -> InUse:
        with acquire(self._loading):
            model = self._model
            if model is not None:
                return InUse(model, 0.0)
            began = time.perf_counter()
            model = load()
            with self._state:
                self._model = model
            return InUse(model, time.perf_counter() - began)

    def _wait(self, seconds: float) -> None:
        # an engine that nobody has any more is not kept for the sake of its timer
        own = ref(self)

        def look() -> None:
            held = own()
            if held is not None:
                held._look()

        self._timer = threading.Timer(seconds, look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        """Whether it has been idle for long enough: one timer is set again, not one for each question."""
        with self._state:
            if self._timer is not threading.current_thread():
                return  # unloaded, and perhaps loaded again, since it went off
            self._timer = None
            if self._users or self._idle_seconds is None:
                return  # the last user sets it again
            left = self._idle_since + self._idle_seconds - time.monotonic()
            if left > 0:
                self._wait(left)
                return
            self._model = None
        give_back_memory()
