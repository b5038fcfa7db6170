"""LLaVA and what grew from it: llava-interleave, OneVision, NeXT-Video, Video-LLaVA, PerceptionLM."""

from __future__ import annotations

from typing import Any

import transformers as t

from tests.families.family import TEXT, VISION, Family, ids
from tests.families.tokens import tokenizer

MEDIA = {"image_token": "<image>", "video_token": "<video>"}

_QWEN_HOISTING = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + SPACE -}}
{%- for item in message['content'] if item['type'] == 'image' -%}{{- '<image>' -}}{%- endfor -%}
{%- for item in message['content'] if item['type'] == 'video' -%}{{- '<video>' -}}{%- endfor -%}
{%- for item in message['content'] if item['type'] == 'text' -%}{{- '\n' + item['text'] -}}{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant' + OPEN -}}{%- endif -%}
"""
"""All images, then all videos, then the words."""

_VICUNA = """\
{%- for message in messages -%}
{{- message['role'] | upper + ': ' -}}
{%- for item in message['content'] if item['type'] == 'image' -%}{{- '<image>\n' -}}{%- endfor -%}
{%- for item in message['content'] if item['type'] == 'video' -%}{{- '<video>\n' -}}{%- endfor -%}
{%- for item in message['content'] if item['type'] == 'text' -%}{{- item['text'] + ' ' -}}{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}
"""

_LLAMA_3 = """\
{{- '<|begin_of_text|>' -}}
{%- for message in messages -%}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' -}}
{%- for item in message['content'] if item['type'] == 'image' -%}{{- '<|image|>' -}}{%- endfor -%}
{%- for item in message['content'] if item['type'] == 'video' -%}{{- '<|video|>' -}}{%- endfor -%}
{%- for item in message['content'] if item['type'] == 'text' -%}{{- item['text'] -}}{%- endfor -%}
{{- '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}
"""


def _qwen_words(space: str, opening: str, named: dict[str, str]) -> Any:
    template = _QWEN_HOISTING.replace("SPACE", repr(space)).replace("OPEN", repr(opening))
    return tokenizer(template, start="", end="<|im_end|>", named=named, other=("<|im_start|>",))


def _siglip(side: int, patch: int) -> Any:
    return t.SiglipVisionConfig(**VISION, image_size=side, patch_size=patch, vision_use_head=False)


def _clip(side: int, patch: int) -> Any:
    return t.CLIPVisionConfig(**VISION, image_size=side, patch_size=patch, projection_dim=32)


def _interleave_processor() -> Any:
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    words = _qwen_words(" ", "", {"image_token": "<image>"})
    return t.LlavaProcessor(
        SiglipImageProcessorPil(size={"height": 44, "width": 44}),
        words,
        patch_size=14,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=words.chat_template,
    )


def _interleave_config(processor: Any) -> Any:
    return t.LlavaConfig(
        vision_config=_siglip(44, 14),
        text_config=t.Qwen2Config(**TEXT, **ids(processor)),
        image_token_index=processor.image_token_id,
        image_seq_length=9,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )


PINPOINTS = [[28, 28], [28, 56], [56, 28], [56, 56]]


def _onevision_processor() -> Any:
    words = _qwen_words(" ", "\n", MEDIA)
    size = {"height": 28, "width": 28}
    return t.LlavaOnevisionProcessor(
        t.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=PINPOINTS),
        words,
        t.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=words.chat_template,
    )


def _onevision_config(processor: Any) -> Any:
    return t.LlavaOnevisionConfig(
        vision_config=_siglip(28, 7),
        text_config=t.Qwen2Config(**TEXT, **ids(processor)),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )


def _next_video_processor() -> Any:
    words = tokenizer(_VICUNA, named=MEDIA)
    size: dict[str, Any] = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    return t.LlavaNextVideoProcessor(
        t.LlavaNextVideoVideoProcessor(**size),
        t.LlavaNextImageProcessor(**size, image_grid_pinpoints=PINPOINTS),
        words,
        patch_size=7,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=words.chat_template,
    )


def _next_video_config(processor: Any) -> Any:
    return t.LlavaNextVideoConfig(
        vision_config=_clip(28, 7),
        text_config=t.LlamaConfig(**TEXT, **ids(processor)),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=16,
        video_seq_length=4,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )


def _video_llava_processor() -> Any:
    words = tokenizer(_VICUNA, named=MEDIA)
    size: dict[str, Any] = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    return t.VideoLlavaProcessor(
        t.VideoLlavaImageProcessor(**size),
        t.VideoLlavaVideoProcessor(**size),
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=words.chat_template,
    )


def _video_llava_config(processor: Any) -> Any:
    return t.VideoLlavaConfig(
        vision_config=_clip(28, 14),
        text_config=t.LlamaConfig(**TEXT, **ids(processor)),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_seq_length=4,
        video_seq_length=40,  # eight frames, as the published one has
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )


def _perception_processor() -> Any:
    named = {"image_token": "<|image|>", "video_token": "<|video|>"}
    other = ("<|start_header_id|>", "<|end_header_id|>")
    words = tokenizer(_LLAMA_3, start="<|begin_of_text|>", end="<|eot_id|>", named=named, other=other)
    return t.PerceptionLMProcessor(
        t.PerceptionLMVideoProcessor(size={"height": 28, "width": 28}),
        t.PerceptionLMImageProcessor(tile_size=28, max_num_tiles=4, vision_input_type="thumb+tile"),
        words,
        patch_size=7,
        pooling_ratio=2,
        chat_template=words.chat_template,
    )


def _perception_config(processor: Any) -> Any:
    tower = {
        "architecture": "vit_pe_lang_large_patch14_448",
        "do_pooling": True,
        "num_classes": 0,
        "global_pool": "map",
        "model_args": {
            "embed_dim": 32,
            "img_size": [28, 28],
            "patch_size": 7,
            "depth": 2,
            "num_heads": 2,
            "global_pool": "",
            "use_post_transformer_norm": False,
            "init_values": 0.1,
            "ref_feat_shape": [4, 4],
            "mlp_ratio": 2,
        },
    }
    return t.PerceptionLMConfig(
        vision_config=tower | {"model_type": "timm_wrapper"},
        text_config=t.LlamaConfig(**TEXT, **ids(processor)),
        vision_use_cls_token=True,
        projector_pooling_ratio=2,
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
    )


_VICUNA_PROMPT = "USER: {media}{question} ASSISTANT:"

FAMILIES = (
    Family(
        "LLaVA-Interleave",
        _interleave_processor,
        _interleave_config,
        "<|im_start|>user {media}\n{question}<|im_end|><|im_start|>assistant",
        image="<image>",
        needs=(),
    ),
    Family(
        "LLaVA-OneVision",
        _onevision_processor,
        _onevision_config,
        "<|im_start|>user {media}\n{question}<|im_end|><|im_start|>assistant\n",
        image="<image>",
        video="<video>",
        images_first=True,
        equal=True,
    ),
    Family(
        "LLaVA-NeXT-Video",
        _next_video_processor,
        _next_video_config,
        _VICUNA_PROMPT,
        image="<image>\n",
        video="<video>\n",
        images_first=True,
        equal=True,
    ),
    Family(
        "Video-LLaVA",
        _video_llava_processor,
        _video_llava_config,
        _VICUNA_PROMPT,
        image="<image>\n",
        video="<video>\n",
        images_first=True,
        equal=True,
        max_frames=8,
    ),
    Family(
        "PerceptionLM",
        _perception_processor,
        _perception_config,
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{media}{question}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        image="<|image|>",
        video="<|video|>",
        images_first=True,
        equal=True,
        equal_images=True,
        needs=("torchvision", "timm"),
    ),
)
