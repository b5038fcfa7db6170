"""How much memory there is to be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""What a container may have of Linux's memory and what it has, in bytes: of cgroups v2, then of v1.

https://docs.kernel.org/admin-guide/cgroup-v2.html
"""


def free_bytes(device: torch.device) -> int:
    """Bytes that could be had on a device right now, those that torch has set aside there included."""
    import psutil
    import torch

    if device.type == "cuda":
        aside = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + aside
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return min([int(psutil.virtual_memory().available), *_left_to_containers()])


def _left_to_containers() -> list[int]:
    """Bytes left below the limit of the container around, where there is one."""
    for most, current in _CGROUPS:
        try:
            limit, used = most.read_text().strip(), current.read_text().strip()
        except OSError:
            continue
        return [max(0, int(limit) - int(used))] if limit.isdigit() else []
    return []
