"""SmolVLM2, Idefics3, InternVL3, Gemma 3, Gemma 4, LFM2-VL and Mistral 3."""

from __future__ import annotations

from typing import Any

import transformers as t

from tests.families.family import TEXT, VISION, Family, clock, ids
from tests.families.tokens import tokenizer

_IDEFICS = """\
{{- '<|im_start|>' -}}
{%- for message in messages -%}
{{- message['role'] | capitalize -}}
{{- ':' if message['content'][0]['type'] == 'image' else ': ' -}}
{%- for item in message['content'] -%}
{{- item['text'] if item['type'] == 'text' else '<' + item['type'] + '>' -}}
{%- endfor -%}
{{- '<end_of_utterance>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}
"""

_CHAT = """\
{{- BEFORE -}}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\n' -}}
{%- for item in message['content'] -%}
{%- if item['type'] == 'image' -%}{{- IMAGE -}}
{%- elif item['type'] == 'video' -%}{{- VIDEO -}}
{%- else -%}{{- item['text'] -}}{%- endif -%}
{%- endfor -%}
{{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""

_GEMMA = """\
{{- bos_token -}}
{%- for message in messages -%}
{{- START + message['role'] + '\n' -}}
{%- for item in message['content'] -%}
{%- if item['type'] == 'image' -%}{{- IMAGE -}}
{%- elif item['type'] == 'video' -%}{{- VIDEO -}}
{%- else -%}{{- item['text'] | trim -}}{%- endif -%}
{%- endfor -%}
{{- END + '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- START + 'model\n' -}}{%- endif -%}
"""

_MISTRAL = """\
{{- bos_token -}}
{%- for message in messages -%}
{{- '[INST]' -}}
{%- for item in message['content'] -%}
{{- item['text'] if item['type'] == 'text' else '[IMG]' -}}
{%- endfor -%}
{{- '[/INST]' -}}
{%- endfor -%}
"""


def _fill(template: str, **parts: str) -> str:
    for name, text in parts.items():
        template = template.replace(name, repr(text))
    return template


_IDEFICS_WORDS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}
_ROWS = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))


def _idefics_words() -> Any:
    return tokenizer(_IDEFICS, start="<|im_start|>", end="<end_of_utterance>", named=_IDEFICS_WORDS, other=_ROWS)


_TILES: dict[str, Any] = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}


def _smolvlm_processor() -> Any:
    words = _idefics_words()
    sampling = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 28}}
    return t.SmolVLMProcessor(
        t.SmolVLMImageProcessor(**_TILES),
        words,
        t.SmolVLMVideoProcessor(max_image_size={"longest_edge": 28}, video_sampling=sampling),
        image_seq_len=4,
        chat_template=words.chat_template,
    )


def _idefics_processor() -> Any:
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    words = _idefics_words()
    return t.Idefics3Processor(
        Idefics3ImageProcessorPil(**_TILES), words, image_seq_len=4, chat_template=words.chat_template
    )


def _idefics_config(processor: Any, kind: Any) -> Any:
    return kind(
        vision_config=VISION | {"image_size": 28, "patch_size": 7},
        text_config=t.LlamaConfig(**TEXT, **ids(processor)),
        image_token_id=processor.image_token_id,
        scale_factor=2,
        pad_token_id=processor.tokenizer.pad_token_id,
    )


def _internvl_processor() -> Any:
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    template = _fill(_CHAT, BEFORE="", IMAGE="<IMG_CONTEXT>\n", VIDEO="<video>\n")
    words = tokenizer(template, start="", end="<|im_end|>", named=named, other=("<|im_start|>",))
    size = {"height": 28, "width": 28}
    return t.InternVLProcessor(
        t.GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4),
        words,
        t.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=template,
    )


def _internvl_config(processor: Any) -> Any:
    return t.InternVLConfig(
        vision_config=VISION | {"model_type": "internvl_vision", "image_size": [28, 28], "patch_size": [7, 7]},
        text_config=t.Qwen2Config(**TEXT, **ids(processor)),
        image_token_id=processor.image_token_id,
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )


def _gemma_3_processor() -> Any:
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    named = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    template = _fill(_GEMMA, START="<start_of_turn>", END="<end_of_turn>", IMAGE="<start_of_image>", VIDEO="")
    words = tokenizer(template, start="<bos>", end="<end_of_turn>", named=named, other=("<start_of_turn>",))
    return t.Gemma3Processor(
        Gemma3ImageProcessorPil(size={"height": 28, "width": 28}),
        words,
        image_seq_length=4,
        chat_template=template,
    )


def _gemma_3_config(processor: Any) -> Any:
    number = processor.tokenizer.convert_tokens_to_ids
    return t.Gemma3Config(
        text_config=TEXT | ids(processor) | {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 64},
        vision_config=_siglip(),
        mm_tokens_per_image=4,
        image_token_index=number("<image_soft_token>"),
        boi_token_index=number("<start_of_image>"),
        eoi_token_index=number("<end_of_image>"),
        tie_word_embeddings=False,
    )


def _siglip() -> dict[str, Any]:
    return VISION | {"image_size": 28, "patch_size": 7, "vision_use_head": False, "model_type": "siglip_vision_model"}


_GEMMA_4_WORDS = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}


def _gemma_4_processor() -> Any:
    template = _fill(_GEMMA, START="<|turn>", END="<turn|>", IMAGE="\n\n<|image|>\n\n", VIDEO="\n\n<|video|>\n\n")
    other = ("<|turn>", "<|video|>")
    words = tokenizer(template, start="<bos>", end="<turn|>", named=_GEMMA_4_WORDS, other=other)
    patches: dict[str, Any] = {"patch_size": 4, "pooling_kernel_size": 2, "max_soft_tokens": 70}
    return t.Gemma4Processor(
        t.Gemma4AudioFeatureExtractor(),
        t.Gemma4ImageProcessor(**patches),
        words,
        t.Gemma4VideoProcessor(**patches),
        chat_template=template,
    )


def _gemma_4_config(processor: Any) -> Any:
    number = processor.tokenizer.convert_tokens_to_ids
    text = {
        "head_dim": 16,
        "global_head_dim": 16,
        "sliding_window": 1024,
        "layer_types": ["sliding_attention", "full_attention"],
        "hidden_size_per_layer_input": 0,
        "vocab_size_per_layer_input": len(processor.tokenizer) + 3,
    }
    tower = VISION | {"num_key_value_heads": 2, "head_dim": 16, "patch_size": 4, "pooling_kernel_size": 2}
    return t.Gemma4Config(
        text_config=TEXT | ids(processor) | text,
        vision_config=tower | {"position_embedding_size": 512},
        audio_config=None,
        **{f"{name}_id": number(token) for name, token in _GEMMA_4_WORDS.items() if "eoa" not in name},
        video_token_id=number("<|video|>"),
        tie_word_embeddings=False,
    )


def _lfm2_processor() -> Any:
    named = {
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>",
    }
    template = _fill(_CHAT, BEFORE="<|startoftext|>", IMAGE="<image>", VIDEO="")
    other = ("<|im_start|>", *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 11) for column in range(1, 11)))
    words = tokenizer(template, start="<|startoftext|>", end="<|im_end|>", named=named, other=other)
    tiles: dict[str, Any] = {
        "tile_size": 28,
        "encoder_patch_size": 7,
        "downsample_factor": 2,
        "min_image_tokens": 2,
        "max_image_tokens": 8,
        "min_tiles": 2,
        "max_tiles": 4,
        "max_num_patches": 64,
        "do_image_splitting": True,
        "use_thumbnail": True,
    }
    return t.Lfm2VlProcessor(t.Lfm2VlImageProcessor(**tiles), words, chat_template=template)


def _lfm2_config(processor: Any) -> Any:
    text = {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False, "conv_L_cache": 3}
    return t.Lfm2VlConfig(
        text_config=TEXT | ids(processor) | text | {"model_type": "lfm2"},
        vision_config=VISION | {"model_type": "siglip2_vision_model", "patch_size": 7, "num_patches": 64},
        image_token_id=processor.image_token_id,
        projector_hidden_size=32,
        downsample_factor=2,
        tie_word_embeddings=False,
    )


def _mistral_3_processor() -> Any:
    other = ("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[INST]", "[/INST]")
    words = tokenizer(_MISTRAL, named={}, other=other)
    return t.PixtralProcessor(
        t.PixtralImageProcessor(size={"longest_edge": 56}, patch_size=14),
        words,
        patch_size=7,
        spatial_merge_size=2,
        chat_template=_MISTRAL,
    )


def _mistral_3_config(processor: Any) -> Any:
    return t.Mistral3Config(
        text_config=t.MistralConfig(**TEXT, **ids(processor), head_dim=16),
        vision_config=VISION | {"model_type": "pixtral", "image_size": 56, "patch_size": 7, "head_dim": 16},
        image_token_index=processor.image_token_id,
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )


_CHAT_PROMPT = "<|im_start|>user\n{media}{question}<|im_end|>\n<|im_start|>assistant\n"

FAMILIES = (
    Family(
        "SmolVLM2",
        _smolvlm_processor,
        lambda processor: _idefics_config(processor, t.SmolVLMConfig),
        "<|im_start|>User:{space}{media}{question}<end_of_utterance>\nAssistant:",
        image="<image>",
        video="<video>",
        mixes=False,
        times=lambda seconds: [f"Frame from {clock(second)}:" for second in seconds],
        max_frames=64,
        needs=("torchvision", "num2words"),
    ),
    Family(
        "Idefics3",
        _idefics_processor,
        lambda processor: _idefics_config(processor, t.Idefics3Config),
        "<|im_start|>User:{media}{question}<end_of_utterance>\nAssistant:",
        image="<image>",
        needs=(),
    ),
    Family(
        "InternVL3",
        _internvl_processor,
        _internvl_config,
        _CHAT_PROMPT,
        image="<IMG_CONTEXT>\n",
        video="<video>\n",
        equal=True,
    ),
    Family(
        "Gemma 3",
        _gemma_3_processor,
        _gemma_3_config,
        "<bos><start_of_turn>user\n{media}{question}<end_of_turn>\n<start_of_turn>model\n",
        image="<start_of_image>",
        needs=(),
    ),
    Family(
        "Gemma 4",
        _gemma_4_processor,
        _gemma_4_config,
        "<bos><|turn>user\n{media}{question}<turn|>\n<|turn>model\n",
        image="\n\n<|image|>\n\n",
        video="\n\n<|video|>\n\n",
        times=lambda seconds: [f"{clock(second)} <|image>" for second in seconds],
    ),
    Family(
        "LFM2-VL",
        _lfm2_processor,
        _lfm2_config,
        f"<|startoftext|>{_CHAT_PROMPT}",
        image="<image>",
    ),
    Family(
        "Mistral 3",
        _mistral_3_processor,
        _mistral_3_config,
        "<s>[INST]{media}{question}[/INST]",
        image="[IMG]",
    ),
)
