"""Training steps with a progress bar, kept on disk now and then so that a stopped run goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch.distributed.checkpoint.stateful import Stateful

KEEP_EVERY = 250


class Progress:
    """Iterates over the steps that are left; `show` puts figures (smoothed) beside the bar."""

    def __init__(
        self,
        name: str,
        steps: int,
        state: Path,
        parts: Mapping[str, Stateful],
    ) -> None:
        self.name, self.steps, self.state, self.parts = name, steps, state, parts
        self.done = 0
        self.figures: dict[str, float] = {}
        if state.exists():
            kept = torch.load(state, weights_only=True)
            self.done = kept["step"]
            for key, part in self.parts.items():
                part.load_state_dict(kept[key])

    def __iter__(self) -> Iterator[int]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns) as bar:
            task = bar.add_task(self.name, total=self.steps, completed=self.done)
            for step in range(self.done, self.steps):
                yield step
                line = "  ".join(f"{key} {value:.3f}" for key, value in self.figures.items())
                bar.update(task, completed=step + 1, description=f"{self.name}  {line}")
                if (step + 1) % KEEP_EVERY == 0:
                    self._keep(step + 1)
                    bar.console.print(f"{self.name} step {step + 1}: {line}")

    def show(self, **figures: float) -> None:
        for key, value in figures.items():
            self.figures[key] = 0.95 * self.figures.get(key, value) + 0.05 * value

    def _keep(self, step: int) -> None:
        part = self.state.with_suffix(".part")
        torch.save({"step": step, **{key: p.state_dict() for key, p in self.parts.items()}}, part)
        part.replace(self.state)
