"""Patches of any resolution on a grid of time, height and width: Qwen's, VideoLLaMA3 and GLM-4.xV."""

from __future__ import annotations

from typing import Any

import transformers as t

from tests.families.family import TEXT, VISION, Family, ids, pairs
from tests.families.tokens import tokenizer

_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"
_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"

_QWEN = """\
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

_GLM = """\
{{- '[gMASK]<sop>' -}}
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>\n' -}}
{%- for item in message['content'] -%}
{%- if item['type'] == 'image' -%}{{- '<|begin_of_image|><|image|><|end_of_image|>' -}}
{%- elif item['type'] == 'video' -%}{{- '<|begin_of_video|><|video|><|end_of_video|>' -}}
{%- else -%}{{- item['text'] -}}{%- endif -%}
{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\n' -}}{%- endif -%}
"""

_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
_TOWER: dict[str, Any] = {"depth": 2, "num_heads": 2, "in_channels": 3, "spatial_merge_size": 2}


def _qwen_words(*, image: str = _IMAGE, video: str = _VIDEO) -> Any:
    template = _QWEN.replace("IMAGE", repr(image)).replace("VIDEO", repr(video))
    named = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    }
    return tokenizer(template, start="", end="<|im_end|>", named=named, other=("<|im_start|>",))


def _sizes(factor: int, frames: int = 1) -> dict[str, Any]:
    """Ceilings so low that both of them come into play."""
    return {"size": {"shortest_edge": 4 * factor**2, "longest_edge": 12 * factor**2 * frames}}


def _qwen_2_processor(kind: Any, patch: int = 14) -> Any:
    words = _qwen_words()
    options: dict[str, Any] = {"patch_size": patch, "temporal_patch_size": 2, "merge_size": 2} | _sizes(2 * patch)
    return kind(
        t.Qwen2VLImageProcessor(**options), words, t.Qwen2VLVideoProcessor(**options), chat_template=words.chat_template
    )


def _media_ids(processor: Any) -> dict[str, Any]:
    found = {name: getattr(processor, name) for name in ("image_token_id", "video_token_id")}
    for name in ("vision_start_token_id", "vision_end_token_id"):
        found[name] = processor.tokenizer.convert_tokens_to_ids(f"<|{name.removesuffix('_token_id')}|>")
    return found


def _qwen_2_config(processor: Any) -> Any:
    return t.Qwen2VLConfig(
        text_config=TEXT | ids(processor) | {"rope_parameters": _ROPE},
        vision_config=_TOWER | {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "patch_size": 14},
        **_media_ids(processor),
    )


def _qwen_2_5_config(processor: Any) -> Any:
    tower = {
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 64,
        "patch_size": 14,
        "window_size": 56,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    }
    return t.Qwen2_5_VLConfig(
        text_config=TEXT | ids(processor) | {"rope_parameters": _ROPE},
        vision_config=_TOWER | tower,
        **_media_ids(processor),
    )


def _qwen_3_processor() -> Any:
    words = _qwen_words()
    options: dict[str, Any] = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    return t.Qwen3VLProcessor(
        t.Qwen2VLImageProcessor(**options, **_sizes(32)),
        words,
        t.Qwen3VLVideoProcessor(**options, **_sizes(32, frames=4)),
        chat_template=words.chat_template,
    )


_QWEN_3_TOWER = _TOWER | {
    "hidden_size": 32,
    "out_hidden_size": 32,
    "intermediate_size": 64,
    "patch_size": 16,
    "num_position_embeddings": 64,
}


def _qwen_3_config(processor: Any) -> Any:
    return t.Qwen3VLConfig(
        text_config=TEXT | ids(processor) | {"head_dim": 16, "rope_parameters": _ROPE | {"mrope_interleaved": True}},
        vision_config=_QWEN_3_TOWER | {"deepstack_visual_indexes": [0]},
        **_media_ids(processor),
    )


def _qwen_3_5_config(processor: Any) -> Any:
    rope = _ROPE | {"mrope_interleaved": True, "partial_rotary_factor": 1.0}
    text = {
        "head_dim": 16,
        "rope_parameters": rope,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
    }
    return t.Qwen3_5Config(
        text_config=TEXT | ids(processor) | text, vision_config=_QWEN_3_TOWER, **_media_ids(processor)
    )


def _video_llama_3_processor() -> Any:
    words = _qwen_words(image="<|image_pad|>\n", video="<|video_pad|>\n")
    patches: dict[str, Any] = {"patch_size": 14, "temporal_patch_size": 1}
    return t.VideoLlama3Processor(
        t.VideoLlama3ImageProcessor(**patches, merge_size=1, **_sizes(14)),
        words,
        t.VideoLlama3VideoProcessor(**patches, merge_size=2, **_sizes(28, frames=4)),
        chat_template=words.chat_template,
    )


def _video_llama_3_config(processor: Any) -> Any:
    found = _media_ids(processor)
    return t.VideoLlama3Config(
        text_config=t.Qwen2Config(**TEXT, **ids(processor)),
        vision_config=VISION | {"model_type": "video_llama_3_vision", "patch_size": 14},
        image_token_id=found["image_token_id"],
        video_token_id=found["video_token_id"],
    )


_GLM_WORDS = {
    "image_token": "<|image|>",
    "video_token": "<|video|>",
    "image_start_token": "<|begin_of_image|>",
    "image_end_token": "<|end_of_image|>",
    "video_start_token": "<|begin_of_video|>",
    "video_end_token": "<|end_of_video|>",
}


def _glm_processor(kind: Any, images: Any, videos: Any) -> Any:
    other = ("[gMASK]", "<sop>", "<|assistant|>")
    words = tokenizer(_GLM, start="", end="<|user|>", named=_GLM_WORDS, other=other)
    options: dict[str, Any] = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    return kind(
        images(**options, **_sizes(28, frames=2)),
        words,
        videos(**options, **_sizes(28, frames=4)),
        chat_template=words.chat_template,
    )


def _glm_4v_processor() -> Any:
    return _glm_processor(t.Glm4vProcessor, t.Glm4vImageProcessor, t.Glm4vVideoProcessor)


def _glm_46v_processor() -> Any:
    return _glm_processor(t.Glm46VProcessor, t.Glm46VImageProcessor, t.Glm46VVideoProcessor)


def _glm_config(processor: Any, kind: Any) -> Any:
    tower = _TOWER | {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "image_size": 56}
    text = TEXT | ids(processor) | {"rope_parameters": _ROPE | {"partial_rotary_factor": 1.0}}
    number = processor.tokenizer.convert_tokens_to_ids
    return kind(
        text_config=text | {"model_type": "glm4v_text"},
        vision_config=tower | {"patch_size": 14, "model_type": "glm4v_vision"},
        **{f"{name}_id": number(token) for name, token in _GLM_WORDS.items()},
    )


_QWEN_PROMPT = "<|im_start|>user\n{media}{question}<|im_end|>\n<|im_start|>assistant\n"
_GLM_PROMPT = "[gMASK]<sop><|user|>\n{media}{question}<|assistant|>\n"
_GLM_IMAGE = "<|begin_of_image|><|image|><|end_of_image|>"
_GLM_VIDEO = "<|begin_of_video|><|video|><|end_of_video|>"


def _means(seconds: list[float]) -> list[str]:
    return [f"<{sum(pair) / 2:.1f} seconds>" for pair in pairs(seconds)]


FAMILIES = (
    Family(
        "Qwen2-VL",
        lambda: _qwen_2_processor(t.Qwen2VLProcessor),
        _qwen_2_config,
        _QWEN_PROMPT,
        image=_IMAGE,
        video=_VIDEO,
        max_frames=768,
    ),
    Family(
        "Qwen2.5-VL",
        lambda: _qwen_2_processor(t.Qwen2_5_VLProcessor),
        _qwen_2_5_config,
        _QWEN_PROMPT,
        image=_IMAGE,
        video=_VIDEO,
        max_frames=768,
    ),
    Family(
        "Qwen3-VL",
        _qwen_3_processor,
        _qwen_3_config,
        _QWEN_PROMPT,
        image=_IMAGE,
        video=_VIDEO,
        times=_means,
        max_frames=768,
    ),
    Family(
        "Qwen3.5",
        _qwen_3_processor,
        _qwen_3_5_config,
        _QWEN_PROMPT,
        image=_IMAGE,
        video=_VIDEO,
        times=_means,
        max_frames=768,
    ),
    Family(
        "VideoLLaMA3",
        _video_llama_3_processor,
        _video_llama_3_config,
        _QWEN_PROMPT,
        image="<|image_pad|>\n",
        video="<|video_pad|>\n",
        times=lambda seconds: [f"Time {second:.1f}s:" for second in seconds],
        max_frames=180,
    ),
    Family(
        "GLM-4.1V",
        _glm_4v_processor,
        lambda processor: _glm_config(processor, t.Glm4vConfig),
        _GLM_PROMPT,
        image=_GLM_IMAGE,
        video=_GLM_VIDEO,
        mixes=False,
        times=lambda seconds: [f"<|end_of_image|>{int(first)}" for first, _ in pairs(seconds)],
    ),
    Family(
        "GLM-4.6V",
        _glm_46v_processor,
        lambda processor: _glm_config(processor, t.Glm46VConfig),
        _GLM_PROMPT,
        image=_GLM_IMAGE,
        video=_GLM_VIDEO,
        mixes=False,
        times=lambda seconds: [f"<|end_of_image|>{first:.1f} seconds" for first, _ in pairs(seconds)],
    ),
)
