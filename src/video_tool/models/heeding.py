"""Passes through a model that end in the middle once the work around them is to stop."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from video_tool.cancellation import check


class Heeding:
    """Where a model looks whether it is still wanted: before each layer, and in long passes before each step of it.

    On a CPU, one layer of the vision tower takes seconds for a long video, so a prefill looks more often. For a single
    token a look costs about as much as a small matrix: there the layers are enough.

    A look is a forward pre-hook, which comes before those of accelerate that fetch offloaded weights. torch.compile
    makes one program of a whole pass, which nothing can end: a compiled model looks between passes alone.

    Args:
        model: of Transformers.
        compiled: whether it is.
    """

    def __init__(self, model: Any, *, compiled: bool) -> None:
        import torch

        modules = [] if compiled else list(model.modules())
        self._model = model
        lists = [each for each in modules if isinstance(each, torch.nn.ModuleList)]
        self._layers = {layer for each in lists for layer in each}
        self._steps = {each for each in modules if next(each.children(), None) is None} - self._layers

    @contextmanager
    def prefill_first(self, passes: int = 1) -> Generator[None]:
        """For a block in which the first passes are long ones, and the others are of a token each.

        Raises:
            CancelledError, DeadlineError: out of the model, where the work around is to stop.
        """
        with _looking(self._layers), _looking(self._steps) as handles:
            long = iter(range(1, passes))

            def prefilled(*_: Any) -> None:
                if next(long, None) is None:
                    for handle in handles:
                        handle.remove()

            handles.append(self._model.register_forward_hook(prefilled))
            yield

    @contextmanager
    def prefills(self) -> Generator[None]:
        """For a block in which each pass is a long one. Raises as `prefill_first` does."""
        with _looking(self._layers), _looking(self._steps):
            yield


@contextmanager
def _looking(modules: Iterable[Any]) -> Generator[list[Any]]:
    handles = [module.register_forward_pre_hook(_look) for module in modules]
    try:
        yield handles
    finally:
        for handle in handles:
            handle.remove()


def _look(_module: Any, _given: Any) -> None:
    check()
