"""What Transformers raises while it generates, as our own errors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from video_tool.errors import ModelError
from video_tool.models.failures import first_line, is_out_of_memory
from video_tool.models.families import Family
from video_tool.models.fitting import question_too_large


@contextmanager
def typed_errors(tokens: int, model: str, family: Family, device: Any) -> Generator[None]:
    """Has what the model raises say what to do.

    Args:
        tokens: of the prompt, or of the longest.
        model: what it is called.
        family: how it takes videos.
        device: where its inputs are.

    Raises:
        OutOfMemoryError, CheckpointError, ModelError: in the place of what Transformers and torch raise.
    """
    import torch
    from torch._dynamo.exc import TorchDynamoException

    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise question_too_large(tokens, error, device, before) from error
        if isinstance(error, TorchDynamoException):
            raise ModelError(
                f"{model} can't be compiled: {first_line(error)}",
                hint="torch.compile needs a C++ compiler, and not every model can be compiled: leave out compile.",
            ) from error
        raise
    except ValueError as error:
        raise family.misfit(error) from error
