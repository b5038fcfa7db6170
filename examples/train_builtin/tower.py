"""First stage: the vision tower alone, each of its tokens telling everything about a single frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from bank import NO_SHAPE, SIDE, Bank
from progress import Progress
from torch import Tensor, nn
from transformers import HieraConfig, HieraModel

from video_tool.builtin.clips import COLOURS

CONFIG = HieraConfig(
    image_size=[SIDE, SIDE],
    patch_size=[10, 10],
    patch_stride=[6, 6],
    patch_padding=[2, 2],
    embed_dim=32,
    depths=[1, 1, 2, 1],
    num_heads=[1, 2, 4, 4],
    masked_unit_size=[8, 8],
    num_query_pool=3,
    query_stride=[2, 2],
    masked_unit_attention=[True, True, False, False],
    drop_path_rate=0.0,
    mlp_ratio=2.0,
)
TOKENS = 4
"""Visual tokens a frame: a 16 × 16 grid of patches, pooled three times by 2 × 2."""


class FrameReader(nn.Module):
    """The tower with a head that reads shape, colour and box off every visual token."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = HieraModel(CONFIG)
        width = self.tower.config.hidden_size
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, NO_SHAPE + 1 + len(COLOURS) + 4))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(frames, 3, SIDE, SIDE) → logits of shape and colour and the box, each (frames, TOKENS, …)."""
        out = self.head(features(self.tower, pixels))
        return out.split([NO_SHAPE + 1, len(COLOURS), 4], dim=-1)


def features(tower: nn.Module, pixels: Tensor) -> Tensor:
    """What LLaVA takes from the tower: its last hidden states, (frames, TOKENS, width)."""
    states: Tensor = tower(pixels, output_hidden_states=True).hidden_states[-1]
    return states


def pixels(frames: np.ndarray) -> Tensor:
    """Frames as bytes (n, SIDE, SIDE, 3) → what the processor makes of them: (n, 3, SIDE, SIDE) in −1 … 1."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def train(bank: Bank, folder: Path, steps: int, batch: int = 96) -> None:
    """Trains for `steps` steps, from the last saved state where there is one; writes `tower.pt`."""
    if (folder / "tower.pt").exists():
        return
    torch.manual_seed(0)
    reader = FrameReader()
    optimiser = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=0.03, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    held_out = len(bank) - 500
    parts = {"module": reader, "optimiser": optimiser, "schedule": schedule}
    progress = Progress("vision tower", steps, folder / "tower.state.pt", parts)
    for step in progress:
        rng = np.random.default_rng([1, step])
        # clips neighbour each other on disk: a few neighbourhoods a batch keep the reading quick
        starts = rng.integers(0, held_out - 8, batch // 8)
        clips = (starts[:, None] + np.arange(8)).reshape(-1)
        loss, figures = _loss(reader, bank, clips, rng)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress.show(**figures)
    with torch.inference_mode():
        held = np.arange(held_out, len(bank))
        _, figures = _loss(reader.eval(), bank, held, np.random.default_rng(2))
    print("unseen frames:", {k: round(v, 4) for k, v in figures.items()})
    torch.save(reader.tower.state_dict(), folder / "tower.pt")


def _loss(
    reader: FrameReader, bank: Bank, clips: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    index = rng.integers(0, bank.visible.shape[1], len(clips))
    shape, colour, box = reader(pixels(np.stack([bank.frame(c, i) for c, i in zip(clips, index, strict=True)])))
    visible = torch.from_numpy(bank.visible[clips, index])
    right_shape = torch.where(visible, torch.from_numpy(bank.shapes[clips]), NO_SHAPE)
    right_colour, right_box = torch.from_numpy(bank.colours[clips]), torch.from_numpy(bank.boxes[clips, index])
    seen = visible[:, None].expand(-1, TOKENS)
    shape_loss = nn.functional.cross_entropy(shape.flatten(0, 1), right_shape.repeat_interleave(TOKENS))
    colour_loss = nn.functional.cross_entropy(colour[seen], right_colour[:, None].expand(-1, TOKENS)[seen])
    box_error = (box - right_box[:, None])[seen]
    box_loss = nn.functional.smooth_l1_loss(box_error, torch.zeros_like(box_error), beta=0.05)
    with torch.no_grad():
        figures = {
            "shape": float((shape.mean(1).argmax(-1) == right_shape)[visible].float().mean()),
            "nothing": float((shape.mean(1).argmax(-1) == right_shape)[~visible].float().mean())
            if (~visible).any()
            else 1.0,
            "colour": float((colour.mean(1).argmax(-1) == right_colour)[visible].float().mean()),
            "box": float(box_error.abs().mean()),
        }
    return shape_loss + colour_loss + 10 * box_loss, figures
