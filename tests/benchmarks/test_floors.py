"""Operations and bytes by formula, beside those that torch counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from floors import Costs, Work, floor
from report import Machine
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoProcessor, DynamicCache, LlavaForConditionalGeneration

from tests.checkpoints import SIDE, TOKENS

FRAMES = 2


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> LlavaForConditionalGeneration:
    return LlavaForConditionalGeneration.from_pretrained(checkpoint, attn_implementation="eager").eval()


@torch.inference_mode()
def test_a_prompt_costs_what_torch_counts(model: LlavaForConditionalGeneration, checkpoint: Path) -> None:
    processor = AutoProcessor.from_pretrained(checkpoint)
    frames = [np.zeros((SIDE, SIDE, 3), np.uint8)] * FRAMES
    inputs = processor(text="<image>" * FRAMES + "What moves?", images=frames, return_tensors="pt")
    tokens = inputs["input_ids"].shape[1]
    with FlopCounterMode(display=False) as counter:
        model(**inputs, logits_to_keep=1)
    costs = Costs(model.config)
    text = model.config.text_config
    # torch computes, and counts, scores of what comes later, too
    later = text.num_hidden_layers * 4 * (tokens * (tokens - 1) / 2) * text.hidden_size
    work = costs.frames(FRAMES) + costs.tokens(tokens)
    assert counter.get_total_flops() == work.operations + later


@torch.inference_mode()
def test_a_token_after_others_costs_what_torch_counts(model: LlavaForConditionalGeneration) -> None:
    cache, before = DynamicCache(config=model.config.get_text_config()), 5
    model(input_ids=torch.ones(1, before, dtype=torch.long), past_key_values=cache)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.ones(1, 1, dtype=torch.long), past_key_values=cache)
    assert counter.get_total_flops() == Costs(model.config).tokens(1, before=before).operations


def test_weights_are_read_for_every_pass_and_what_is_kept_once_for_all_rows(
    model: LlavaForConditionalGeneration,
) -> None:
    costs = Costs(model.config)
    text = model.config.text_config
    language = model.model.language_model.layers
    weights = sum(weight.numel() for weight in language.parameters() if weight.ndim > 1) + model.lm_head.weight.numel()
    kept = 2 * text.num_hidden_layers * text.hidden_size * TOKENS
    assert costs.tokens(1, before=TOKENS).read == 4 * (weights + kept)
    assert costs.tokens(1, before=TOKENS, rows=8).read == 4 * (weights + kept)


def test_a_floor_is_the_slower_of_computing_and_reading() -> None:
    machine = Machine("", 1, 1.0, rates={"float32": 100.0, "memory": 10.0})
    assert Work(200, 10).seconds(machine, "float32") == 2
    assert Work(200, 30).seconds(machine, "float32") == 3
    assert floor(machine, "float32", Work(200, 10), Work(200, 30)) == 5
