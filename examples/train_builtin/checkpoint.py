"""The built-in checkpoint's parts that are not learnt: configuration, tokenizer, processor, chat template."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from bank import SIDE
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tower import CONFIG, TOKENS
from transformers import (
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from video_tool.builtin.wording import every_phrase

SPECIAL = ("<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "<image>")
SPACE = "▁"

CHAT_TEMPLATE = """\
{%- set counts = namespace(video=0, image=0) -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role -}}
{%- if message.content is string -%}
{{- ' ' + message.content | trim -}}
{%- else -%}
{%- for item in message.content -%}
{%- if item.type == 'text' -%}
{{- ' ' + item.text | trim -}}
{%- elif item.frame is defined -%}
{%- if item.frame == 0 -%}
{%- set counts.video = counts.video + 1 -%}
{{- ' video ' ~ counts.video ~ ' [' -}}
{%- endif -%}
{{- '<image>' -}}
{%- if item.frame + 1 == item.frames -%}{{- ']' -}}{%- endif -%}
{%- else -%}
{%- set counts.image = counts.image + 1 -%}
{{- ' image ' ~ counts.image ~ ' [<image>]' -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant' -}}{%- endif -%}
"""


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word of the question grammar, in both cases of its first letter; the rest is `<unk>`."""
    pieces = set()
    for phrase in every_phrase():
        for word in re.findall(r"[A-Za-z]+|[0-9]|[^\sA-Za-z0-9{}<>|_]", re.sub(r"\{\w+\}|<\w+>", " ", phrase)):
            for form in {word, word.lower(), word[0].upper() + word[1:]}:
                pieces |= {form, SPACE + form}
    pieces.add(SPACE)
    vocabulary = {piece: number for number, piece in enumerate([*SPECIAL, *sorted(pieces)])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace("’", "'"), normalizers.Replace(Regex(r"\s+"), " ")]
    )
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never"),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    words.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.Fuse()])
    words.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<|im_end|>",
        model_max_length=1024,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def processor() -> LlavaProcessor:
    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        tokenizer=tokenizer(),
        patch_size=SIDE // int(TOKENS**0.5),
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=CHAT_TEMPLATE,
    )


def model(words: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """The model with random weights; about two million parameters."""
    text = Qwen2Config(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        use_sliding_window=False,
        pad_token_id=words.pad_token_id,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
    )
    config = LlavaConfig(
        vision_config=CONFIG,
        text_config=text,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    llava = LlavaForConditionalGeneration(config)
    llava.generation_config = GenerationConfig(
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, do_sample=False, max_length=None
    )
    return llava


def save(llava: LlavaForConditionalGeneration, folder: Path) -> None:
    """Writes the checkpoint in the published layout, in half precision."""
    llava.to(torch.float16).save_pretrained(folder)
    processor().save_pretrained(folder)
