"""Small checkpoints with random weights, in the layout of llava-hf/llava-interleave-qwen-0.5b-hf."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

Weights = dict[str, torch.Tensor]

SIDE, PATCH = 44, 14
"""As 384 in the published one, 44 pixels are no multiple of 14: what is left over is not looked at."""
TOKENS = (SIDE // PATCH) ** 2
"""Visual tokens a frame."""
CONTEXT = 256
"""Tokens that prompt and answer may have together."""

HOISTING = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + ' ' -}}
{%- for item in message['content'] if item['type'] == 'image' -%}{{- 'IMAGE' -}}{%- endfor -%}
{%- for item in message['content'] if item['type'] == 'text' -%}{{- '\n' + item['text'] -}}{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant' -}}{%- endif -%}
"""
"""What the published template writes: all images of a message, then its texts, each after a line's end."""

INTERLEAVING = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\n' -}}
{%- for item in message['content'] -%}
{{- item['text'] if item['type'] == 'text' else '<video>' if item['type'] == 'video' else 'IMAGE' -}}
{%- endfor -%}
{{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""
"""What Qwen's own templates write: everything in its place."""

SILENT = HOISTING.replace("'IMAGE'", "''")
"""A template that knows nothing of images."""

_CORPUS = (
    "What moves in the video, and what in the image? Does the square move left or right?",
    "Are these two cats doing the same thing? user assistant system yes no first then last frame",
)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def tokenizer(image_token: str = "<image>", template: str = HOISTING) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as Qwen's; trained on a few words, always to the same pieces."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    pieces.train_from_iterator(_CORPUS, trainer)
    tokens = (*_SPECIAL, image_token, "<video>")
    pieces.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        clean_up_tokenization_spaces=False,
        chat_template=template.replace("IMAGE", image_token),
    )


def sentencepiece(image_token: str = "<image>", template: str = HOISTING) -> PreTrainedTokenizerFast:
    """Pieces of words with ▁ for a blank, and bytes for the letters that the words above have not, as Llama's."""
    pieces = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    pieces.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    pieces.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    pieces.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    parts = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces.train_from_iterator(
        _CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=parts, show_progress=False, max_token_length=8)
    )
    # trained as one token each, and no more special than other pieces
    made = json.loads(pieces.to_str()) | {"pre_tokenizer": None}
    made["added_tokens"] = [token for token in made["added_tokens"] if token["content"] == "<unk>"]
    pieces = Tokenizer.from_str(json.dumps(made))
    tokens = (*_SPECIAL, image_token, "<video>")
    pieces.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        unk_token="<unk>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        clean_up_tokenization_spaces=False,
        chat_template=template.replace("IMAGE", image_token),
    )


def processor(
    image_token: str = "<image>",
    template: str = HOISTING,
    *,
    patch: int | None = PATCH,
    words: Callable[[str, str], PreTrainedTokenizerFast] = tokenizer,
) -> LlavaProcessor:
    made = words(image_token, template)
    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        tokenizer=made,
        patch_size=patch,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        image_token=image_token,
        chat_template=made.chat_template,
    )


def write_checkpoint(
    folder: Path,
    *,
    layout: Literal["today", "older"] = "today",
    image_token: str = "<image>",
    template: str = HOISTING,
    patch: int | None = PATCH,
    end_tokens: tuple[int, ...] = (),
    edit: Callable[[Weights], object] = dict.copy,
    config: dict[str, object] | None = None,
    words: Callable[[str, str], PreTrainedTokenizerFast] = tokenizer,
) -> Path:
    """Writes a whole checkpoint, or one that lacks what `edit` takes away, and returns its folder.

    Args:
        folder: where to.
        layout: names of weights and files as they are today, or as they were when the model was published.
        image_token: what stands for an image.
        template: the chat template, with IMAGE for the image token.
        patch: the patch size that the processor counts with.
        end_tokens: tokens that end an answer, besides `<|im_end|>`.
        edit: changes the weights, by today's names, before they are written.
        config: entries of config.json to replace.
        words: makes the tokenizer.
    """
    parts = processor(image_token, template, patch=patch, words=words)
    llava = _model(parts.tokenizer, image_token)
    llava.config.save_pretrained(folder)
    ends = [parts.tokenizer.convert_tokens_to_ids("<|im_end|>"), *end_tokens]
    GenerationConfig(eos_token_id=ends, pad_token_id=parts.tokenizer.pad_token_id).save_pretrained(folder)
    weights = dict(llava.state_dict())
    edit(weights)
    if layout == "older":
        weights = {_older(name): weight for name, weight in weights.items()}
        _save_older_processor(parts, folder)
    else:
        parts.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | (config or {})))
    return folder


def write_text_checkpoint(folder: Path) -> Path:
    """A whole checkpoint of a model that knows text alone."""
    words = tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen2ForCausalLM(_text_config(words)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _model(words: PreTrainedTokenizerFast, image_token: str) -> LlavaForConditionalGeneration:
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
            vision_use_head=False,
        ),
        text_config=_text_config(words),
        image_token_index=words.convert_tokens_to_ids(image_token),
        image_seq_length=TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        llava = LlavaForConditionalGeneration(config)
        for name, weight in llava.named_parameters():
            # large enough that the answer follows from every frame
            if weight.ndim > 1:
                weight.normal_(0, 1 if "embed" in name else 1.5 * weight[0].numel() ** -0.5)
    return llava


def _text_config(words: PreTrainedTokenizerFast) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(words) + 3,  # the published one has rows to spare, too
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )


def _older(name: str) -> str:
    for today, older in (
        ("model.language_model.", "language_model.model."),
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("lm_head.", "language_model.lm_head."),
    ):
        if name.startswith(today):
            return older + name.removeprefix(today)
    return name


def _save_older_processor(parts: LlavaProcessor, folder: Path) -> None:
    """In several files, and with the name that image processors had."""
    template = parts.tokenizer.chat_template
    parts.tokenizer.chat_template = None
    parts.tokenizer.save_pretrained(folder)
    images = parts.image_processor.to_dict() | {"image_processor_type": "SiglipImageProcessor"}
    images["processor_class"] = "LlavaProcessor"
    counts = {
        "processor_class": "LlavaProcessor",
        "image_token": parts.image_token,
        "num_additional_image_tokens": parts.num_additional_image_tokens,
        "patch_size": parts.patch_size,
        "vision_feature_select_strategy": parts.vision_feature_select_strategy,
    }
    for name, content in (
        ("preprocessor_config.json", images),
        ("processor_config.json", counts),
        ("chat_template.json", {"chat_template": template}),
    ):
        (folder / name).write_text(json.dumps(content, indent=2))
