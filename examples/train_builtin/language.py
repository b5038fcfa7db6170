"""Second and third stage: the projector and the language model over the frozen tower, then everything together.

While training, small heads at the end of each video read what it shows off the language model's middle
layer: far more to learn from than the words of an answer alone. They are not part of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bank import FRAMES, NO_SHAPE, Bank
from conversations import NO_MOTION, VERDICTS, Batch, Conversations
from numpy.typing import NDArray
from progress import Progress
from torch import Tensor, nn
from tower import TOKENS, features, pixels
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from video_tool.builtin.clips import COLOURS

READ_AT = 3
"""The language model's layer after which the heads read."""
HELD_OUT = 500
"""Clips at the end of the bank that nothing learns from."""
WARM_UP = 100
"""Steps in which the learning rate rises."""


class Learner(nn.Module):
    """The model with its training heads."""

    def __init__(self, llava: LlavaForConditionalGeneration, words: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.llava = llava
        self.verdicts = torch.tensor(words.convert_tokens_to_ids(list(VERDICTS)))
        width = llava.config.text_config.hidden_size
        self.sizes = [NO_MOTION + 1, NO_MOTION + 1, NO_SHAPE + 1, len(COLOURS), 12]
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sum(self.sizes)))

    def forward(self, batch: Batch, seen: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss and figures; `seen` are the tower's features (frames, TOKENS, width)."""
        llava = self.llava.model
        embedded = llava.get_input_embeddings()(batch.ids)
        images = (batch.ids == self.llava.config.image_token_id).unsqueeze(-1)
        embedded = embedded.masked_scatter(images, llava.multi_modal_projector(seen).to(embedded.dtype))
        out = llava.language_model(inputs_embeds=embedded, attention_mask=batch.attention, output_hidden_states=True)
        wanted = batch.labels[:, 1:]
        asked = wanted != -100
        logits = self.llava.lm_head(out.last_hidden_state[:, :-1][asked])
        words = nn.functional.cross_entropy(logits, wanted[asked])
        # yes and no are few among all words, and hardest: what comes before is to be compared, so they count apart
        verdict = torch.isin(wanted[asked], self.verdicts)
        judged = nn.functional.cross_entropy(logits[verdict], wanted[asked][verdict]) if verdict.any() else 0.0
        middle = out.hidden_states[READ_AT][batch.closings[:, 0], batch.closings[:, 1]]
        first, second, shape, colour, boxes = self.head(middle).split(self.sizes, dim=-1)
        real = batch.shapes != NO_SHAPE
        moved = nn.functional.cross_entropy(first, batch.motions[:, 0]) + nn.functional.cross_entropy(
            second, batch.motions[:, 1]
        )
        looks = nn.functional.cross_entropy(shape, batch.shapes) + nn.functional.cross_entropy(
            colour[real], batch.colours[real]
        )
        placed = nn.functional.smooth_l1_loss(boxes[real], batch.boxes[real], beta=0.05)
        with torch.no_grad():
            wrong = torch.zeros_like(asked)
            wrong[asked] = logits.argmax(-1) != wanted[asked]
            figures = {
                "words": float(words),
                "motion": float(
                    ((first.argmax(-1) == batch.motions[:, 0]) & (second.argmax(-1) == batch.motions[:, 1]))
                    .float()
                    .mean()
                ),
                "shape": float((shape.argmax(-1) == batch.shapes).float().mean()),
                "boxes": float((boxes[real] - batch.boxes[real]).abs().mean()),
                "conversations right": float((~wrong.any(1)).float().mean()),
            }
        return words + 0.5 * judged + 0.5 * moved + 0.3 * looks + 5 * placed, figures

    def judge(self, ids: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss and figures of the yes and no in questions with nothing to look at."""
        attention = (ids != self.llava.config.text_config.pad_token_id).long()
        out = self.llava.model.language_model(input_ids=ids, attention_mask=attention).last_hidden_state
        asked = labels[:, 1:] != -100
        logits, wanted = self.llava.lm_head(out[:, :-1][asked]), labels[:, 1:][asked]
        right = float((logits.argmax(-1) == wanted).float().mean())
        return nn.functional.cross_entropy(logits, wanted), {"yes and no": right}


def bank_features(bank: Bank, tower: nn.Module, folder: Path) -> Tensor:
    """The frozen tower's features of every frame: (clips, FRAMES, TOKENS, width), in half precision."""
    path = folder / "features.pt"
    if not path.exists():
        with torch.inference_mode():
            rows = [
                features(tower, pixels(np.concatenate(shard[start : start + 10]))).half()
                for shard in bank.frames
                for start in range(0, len(shard), 10)
            ]
        torch.save(torch.cat(rows).reshape(len(bank), FRAMES, TOKENS, -1), path)
    kept: Tensor = torch.load(path, weights_only=True)
    return kept


def train(learner: Learner, words: PreTrainedTokenizerFast, bank: Bank, folder: Path, steps: int) -> None:
    """Trains projector and language model for `steps` steps over the frozen tower; writes `language.pt`."""
    learner.llava.model.vision_tower.requires_grad_(False)
    seen = bank_features(bank, learner.llava.model.vision_tower, folder)

    def look(frames: NDArray[np.int64]) -> Tensor:
        return seen[frames[:, 0], frames[:, 1]].float()

    conversations = Conversations(bank, np.arange(len(bank) - HELD_OUT), words)
    _run("language", learner, conversations, steps, folder, look, batch=16, rate=5e-3)


def train_together(learner: Learner, words: PreTrainedTokenizerFast, bank: Bank, folder: Path, steps: int) -> None:
    """Trains everything, the tower too, for `steps` steps at a lower rate; writes `together.pt`."""
    learner.llava.model.vision_tower.requires_grad_(True)

    def look(frames: NDArray[np.int64]) -> Tensor:
        drawn = np.stack([bank.frame(clip, moment) for clip, moment in frames])
        return features(learner.llava.model.vision_tower, pixels(drawn))

    conversations = Conversations(bank, np.arange(len(bank) - HELD_OUT), words)
    _run("together", learner, conversations, steps, folder, look, batch=12, rate=2e-3)


def _run(
    name: str,
    learner: Learner,
    conversations: Conversations,
    steps: int,
    folder: Path,
    look: Callable[[NDArray[np.int64]], Tensor],
    *,
    batch: int,
    rate: float,
) -> None:
    """The loop of both stages; `look` turns (frames, 2) clips and moments into the tower's features."""
    path = folder / f"{name}.pt"
    if path.exists():
        learner.load_state_dict(torch.load(path, weights_only=True))
        return
    optimisers = _optimisers(learner, rate)
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, partial(_share_of_rate, steps)) for each in optimisers]
    parts = {"module": learner.train()}
    for number, (optimiser, schedule) in enumerate(zip(optimisers, schedules, strict=True)):
        parts |= {f"optimiser {number}": optimiser, f"schedule {number}": schedule}
    for step in (progress := Progress(name, steps, folder / f"{name}.state.pt", parts)):
        rng = np.random.default_rng([2, step])
        drawn = conversations.batch(rng, batch)
        loss, figures = learner(drawn, look(drawn.frames))
        judged, more = learner.judge(*conversations.verdicts(rng, 2 * batch))
        loss, figures = loss + judged, figures | more
        learner.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        for part in (*optimisers, *schedules):
            part.step()
        progress.show(**figures)
    torch.save(learner.state_dict(), path)


def _optimisers(learner: Learner, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the language model's matrices, where it learns in about half of AdamW's steps; AdamW for the rest.

    Three Newton-Schulz steps instead of five: on a CPU even these are a sixth of the time.
    """
    matrices = [p for p in learner.llava.model.language_model.layers.parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    others = [p for p in learner.parameters() if p.requires_grad and id(p) not in known]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, ns_steps=3, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=0.3 * rate, weight_decay=0.05, betas=(0.9, 0.98), fused=True),
    ]


def _share_of_rate(steps: int, step: int) -> float:
    """The learning rate at this step as a share of the highest: a short rise, then a straight way down to nothing."""
    return min((step + 1) / WARM_UP, 1 - step / steps)
