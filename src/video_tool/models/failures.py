"""What other packages say when something fails, and what is left in memory then."""

from __future__ import annotations

import gc
import sys
import traceback


def first_line(error: BaseException) -> str:
    """What an error of another package says, short enough for one of ours."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it was memory that was missing, the device's or the machine's."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # of main memory, and of Apple's devices, torch says so in words alone
    words = ("can't allocate memory", "not enough memory", "backend out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def let_go(error: BaseException) -> None:
    """Frees what a failed call had in memory, though its error is kept.

    The frames that its traceback names lose their variables. Those of the errors behind it are forgotten: a frame
    keeps what its function closes over whatever becomes of its variables, and torch's and accelerate's do.
    """
    traceback.clear_frames(error.__traceback__)
    behind = error.__cause__ or error.__context__
    while behind is not None:
        traceback.clear_frames(behind.__traceback__)
        behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__
    give_back_memory()


def give_back_memory() -> None:
    """Collects what nobody refers to any more, and has torch hand the devices' memory back to others."""
    gc.collect()
    empty_caches()


def empty_caches() -> None:
    """Has torch hand the devices' memory back to others, as far as it is free."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
