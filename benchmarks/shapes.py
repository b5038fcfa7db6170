"""Checkpoints with random weights in the configurations of published ones, made on the spot.

LLaVA-Interleave 0.5b and 7b (llava-hf/llava-interleave-qwen-0.5b-hf and -7b-hf): SigLIP so400m, 384 px in patches of
14, 26 layers, 729 tokens a frame; Qwen1.5. What the tokenizer knows is a few hundred pieces: weights see to it that
answers are made of those, and never end.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.checkpoints import tokenizer

SIDE, PATCH = 384, 14
TOKENS = (SIDE // PATCH) ** 2
"""Visual tokens a frame."""
_UNSAID = 0.1
"""The scale of the rows of tokens that are never said, beside that of others."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a model, as its config.json names them."""

    name: str
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    vision_layers: int = 26
    tied: bool = True


HALF = Shape("0.5b", 1024, 24, 16, 2816, 152_000)
SEVEN = Shape("7b", 4096, 32, 32, 11_008, 152_064, tied=False)
CUT = Shape("0.5b, cut to two layers", 1024, 2, 16, 2816, 8_000, vision_layers=2)
"""To see that all works."""


def written(folder: Path, shape: Shape, dtype: str = "float32", device: str = "cpu") -> Path:
    """The folder of a whole checkpoint, which is written there unless it has been."""
    if (folder / "config.json").exists():
        return folder
    words = tokenizer()
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.random.fork_rng(), torch.no_grad(), torch.device(device):
            torch.manual_seed(0)
            model = LlavaForConditionalGeneration(_config(shape, words))
            said = torch.tensor([_is_plain(words, token) for token in range(shape.vocabulary)])
            model.get_output_embeddings().weight[~said] *= _UNSAID
    finally:
        torch.set_default_dtype(before)
    model.generation_config = GenerationConfig(eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id)
    _processor(words).save_pretrained(folder)
    model.save_pretrained(folder)
    del model
    gc.collect()
    return folder


def _config(shape: Shape, words: PreTrainedTokenizerFast) -> LlavaConfig:
    return LlavaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=1152,
            intermediate_size=4304,
            num_hidden_layers=shape.vision_layers,
            num_attention_heads=16,
            image_size=SIDE,
            patch_size=PATCH,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=32_768,
            tie_word_embeddings=shape.tied,
            bos_token_id=None,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        ),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=shape.tied,
    )


def _processor(words: PreTrainedTokenizerFast) -> LlavaProcessor:
    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        image_token="<image>",
        chat_template=words.chat_template,
    )


def _is_plain(words: PreTrainedTokenizerFast, token: int) -> bool:
    """Whether a token reads as text by itself: it is told as soon as it is there, whatever comes next."""
    text = words.decode([token], skip_special_tokens=True) if token < len(words) else ""
    return bool(text.strip()) and text.isascii() and text.isprintable()
