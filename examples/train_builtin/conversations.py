"""Batches of conversations about clips of the bank, as token ids with the frames that they look at."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import torch
from bank import FRAMES, NO_SHAPE, Bank
from numpy.typing import NDArray
from torch import Tensor
from tower import TOKENS
from transformers import PreTrainedTokenizerFast

from video_tool.builtin.answers import Shown
from video_tool.builtin.clips import COLOURS, MOTIONS, OPPOSITES, SHAPES
from video_tool.builtin.dialogue import Turn, random_conversation

NO_MOTION = len(MOTIONS)
VERDICTS = ("▁yes", "▁no")


@dataclass
class Batch:
    """`ids`, `labels`, `attention` are (conversations, tokens), labels −100 where nothing is to be learnt.

    `frames` are (frames, 2): clip and moment of every `<image>` group, in reading order.
    `closings` are (media, 2): conversation and position of the `]` behind each video or image; for each the
    `motions` (media, 2), `shapes`, `colours` (media,) and the boxes at its start, middle and end (media, 12).
    """

    ids: Tensor
    labels: Tensor
    attention: Tensor
    frames: NDArray[np.int64]
    closings: Tensor
    motions: Tensor
    shapes: Tensor
    colours: Tensor
    boxes: Tensor


@dataclass
class _Medium:
    shown: Shown
    clip: int
    moments: NDArray[np.int64]


class Conversations:
    """Draws batches; the same `step` gives the same batch."""

    def __init__(self, bank: Bank, clips: NDArray[np.int64], words: PreTrainedTokenizerFast) -> None:
        self.bank, self.clips, self.words = bank, clips, words
        self.closing = words.convert_tokens_to_ids("]")
        self.end = words.eos_token_id
        self.same: dict[tuple[int, int], list[int]] = defaultdict(list)
        for clip in clips:
            self.same[tuple(bank.motions[clip])].append(int(clip))

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        # much the same length throughout a batch: little of it is padding
        count, turns_each = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15])), int(rng.integers(2, 6))
        rows, media = [], []
        for _ in range(size):
            seen = self._media(rng, count)
            turns = random_conversation(rng, [m.shown for m in seen], turns_each)
            rows.append(self._encode(rng, turns, seen))
            media.append(seen)
        return self._collate(rows, media)

    def verdicts(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """Questions of yes or no with their answers, and nothing to look at: ids and labels, (questions, tokens).

        The answer names the facts before it says yes or no, so that can be learnt from words alone, from many
        short sequences: among the few in whole conversations it is hardly learnt at all. Only yes and no are
        to be learnt here.
        """
        count = int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))
        rows: list[list[int]] = []
        while len(rows) < size:
            shown = [self._facts(rng) for _ in range(count)]
            if rng.random() < 0.5:
                shown = [replace(each, motions=shown[0].motions) for each in shown]
            turn = random_conversation(rng, shown)[0]
            if turn.kind.startswith(("is_", "same_")):
                question = turn.question.replace("<video>", "video 1 [ ]")
                text = f"<|im_start|>user {question}<|im_end|><|im_start|>assistant {turn.answer}<|im_end|>"
                rows.append(self.words(text, add_special_tokens=False).input_ids)
        ids = torch.full((size, max(map(len, rows))), self.words.pad_token_id)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
        wanted = torch.tensor(self.words.convert_tokens_to_ids(list(VERDICTS)))
        return ids, torch.where(torch.isin(ids, wanted), ids, -100)

    def _facts(self, rng: np.random.Generator) -> Shown:
        count = 1 + int(rng.random() < 0.5)
        motions = tuple(str(motion) for motion in rng.permutation(MOTIONS)[:count])
        return Shown("video", str(rng.choice(SHAPES)), str(rng.choice(COLOURS)), motions)

    def _media(self, rng: np.random.Generator, count: int) -> list[_Medium]:
        chosen: list[_Medium] = []
        for _ in range(count):
            clip = int(rng.choice(self.clips))
            if chosen and chosen[0].shown.medium == "video" and rng.random() < 0.45:
                clip = int(rng.choice(self.same[tuple(self.bank.motions[chosen[0].clip])]))
            image = rng.random() < (0.12 if count == 1 else 0.2)
            medium = self._image(rng, clip) if image else self._video(rng, clip)
            while medium is None:
                medium = self._video(rng, int(rng.choice(self.clips)))
            chosen.append(medium)
        return chosen

    def _image(self, rng: np.random.Generator, clip: int) -> _Medium:
        where = np.flatnonzero(self.bank.visible[clip])
        moment = int(rng.choice(where)) if len(where) else 0
        return _Medium(self._shown("image", clip, ()), clip, np.array([moment]))

    def _video(self, rng: np.random.Generator, clip: int) -> _Medium | None:
        """The clip as 4 to 12 of its moments, sometimes backwards; None where these hide that it blinks."""
        motions = tuple(MOTIONS[m] for m in self.bank.motions[clip] if m >= 0)
        count = int(rng.integers(4, 13))
        start = np.arange(count) * FRAMES // count
        if rng.random() < 0.4:
            start = rng.integers(start, np.append(start[1:], FRAMES))
        if "blinking" in motions and not self._blinks(clip, start, motions):
            return None
        if rng.random() < 0.3:
            start, motions = start[::-1], tuple(OPPOSITES.get(m, m) for m in reversed(motions))
        return _Medium(self._shown("video", clip, motions), clip, start)

    def _blinks(self, clip: int, moments: NDArray[np.int64], motions: tuple[str, ...]) -> bool:
        visible = self.bank.visible[clip, moments]
        for half, motion in enumerate(motions * (3 - len(motions))):
            here = visible[(moments * 2 // FRAMES) == half]
            if motion == "blinking" and (here.all() or not here.any()):
                return False
        return True

    def _shown(self, medium: str, clip: int, motions: tuple[str, ...]) -> Shown:
        shape = int(self.bank.shapes[clip])
        return Shown(
            medium, None if shape == NO_SHAPE else SHAPES[shape], COLOURS[int(self.bank.colours[clip])], motions
        )

    def _encode(self, rng: np.random.Generator, turns: list[Turn], seen: list[_Medium]) -> tuple[list[int], list[int]]:
        """The checkpoint's chat template, written out: its own rendering is too slow for training."""
        blocks, counts = [], {"video": 0, "image": 0}
        for medium in seen:
            kind = medium.shown.medium
            counts[kind] += 1
            blocks.append(f"{kind} {counts[kind]} [" + "<image>" * (len(medium.moments) * TOKENS) + "]")
        ids, labels = [], []
        for number, turn in enumerate(turns):
            question = self._loosely(rng, turn.question)
            if turn.marked:
                question = _placed(question, blocks)
            elif number == 0:
                question = " ".join(blocks) + " " + question
            asked = self.words(f"<|im_start|>user {question}<|im_end|><|im_start|>assistant", add_special_tokens=False)
            answer = self.words(f" {turn.answer}<|im_end|>", add_special_tokens=False)
            ids += asked.input_ids + answer.input_ids
            labels += [-100] * len(asked.input_ids) + answer.input_ids
        return ids, labels

    def _loosely(self, rng: np.random.Generator, question: str) -> str:
        roll = rng.random()
        if roll < 0.08:
            return question.lower()
        if roll < 0.13:
            return question.rstrip("?.")
        return question

    def _collate(self, rows: list[tuple[list[int], list[int]]], media: list[list[_Medium]]) -> Batch:
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.full((len(rows), longest), self.words.pad_token_id)
        labels = torch.full((len(rows), longest), -100)
        for number, (row, wanted) in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            labels[number, : len(row)] = torch.tensor(wanted)
        flat = [m for seen in media for m in seen]
        behind_frames = (ids == self.closing) & (ids.roll(1, 1) == self.words.convert_tokens_to_ids("<image>"))
        motions = torch.full((len(flat), 2), NO_MOTION)
        for number, medium in enumerate(flat):
            if medium.shown.shape is not None:
                for half, motion in enumerate(medium.shown.motions):
                    motions[number, half] = MOTIONS.index(motion)
        boxes = [self.bank.boxes[m.clip, m.moments[[0, len(m.moments) // 2, -1]]].reshape(-1) for m in flat]
        return Batch(
            ids=ids,
            labels=labels,
            attention=(ids != self.words.pad_token_id).long(),
            frames=np.concatenate([np.stack([np.full_like(m.moments, m.clip), m.moments], -1) for m in flat]),
            closings=behind_frames.nonzero(),
            motions=motions,
            shapes=torch.tensor([int(self.bank.shapes[m.clip]) for m in flat]),
            colours=torch.tensor([int(self.bank.colours[m.clip]) for m in flat]),
            boxes=torch.from_numpy(np.stack(boxes)),
        )


def _placed(question: str, blocks: list[str]) -> str:
    """The blocks in the places of the markers, set off by spaces as the chat template does."""
    texts = re.split("<video>|<image>", question)
    parts = [part for text, block in zip(texts, [*blocks, ""], strict=True) for part in (text.strip(), block)]
    return " ".join(part for part in parts if part)
