"""What a model is given for a prompt: all of it, or what follows after what it has keys and values of already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from video_tool.answer import FeatureCacheUse, PrefixCacheUse
from video_tool.models import chunking
from video_tool.models.continuing import steered, why_unfit
from video_tool.models.feature_cache import FeatureCache
from video_tool.models.free_memory import free_bytes
from video_tool.models.kv_caches import KVCaches
from video_tool.models.prefill import Encoded, Prefill
from video_tool.models.prefix_cache import PrefixCache
from video_tool.models.prefix_keys import PrefixKeys
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.vision import PIXELS, Seen, VisionEncoder
from video_tool.prompt import Prompt
from video_tool.question import VisualTokens

if TYPE_CHECKING:
    import torch

_SHARE = 0.25
"""Of the memory that is free, or that the cache has already: what it may take where no budget is given."""

_PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids")
"""What processors make for each token of the whole prompt, and models take for the whole though they know part."""


class Prefiller:
    """Lets prompts of one model begin where an earlier one was the same.

    Keys and values of a token follow from the tokens before it, whatever comes behind, where attention is causal. A
    model of which more has to be known than those, or less is kept, is given every prompt whole.

    Args:
        model: of Transformers, on its device.
        preprocessor: makes its inputs.
        vision: has its vision tower look at videos and images.
        prefixes: what is kept of the prompts before; all who use the weights share it.
        features: what is kept of videos and images, likewise.
        device: where inputs go.
        budget: most bytes that are kept of prompts; None for a share of the memory that is free.
        caches: what keys and values are put into.

    Attributes:
        unfit: why the model is given every prompt whole; None where it need not be.
    """

    def __init__(
        self,
        model: Any,
        preprocessor: Preprocessor,
        vision: VisionEncoder,
        prefixes: PrefixCache,
        features: FeatureCache,
        device: torch.device,
        budget: int | None,
        caches: KVCaches,
    ) -> None:
        self._model, self._preprocessor, self._vision = model, preprocessor, vision
        self._prefixes, self._features = prefixes, features
        self._device, self._budget = device, budget
        self._caches = caches
        self.unfit = why_unfit(model)

    def unfit_for(self, inputs: Mapping[str, Any]) -> str | None:
        """Why the model is given this prompt whole; None where it need not be."""
        return self.unfit or steered(inputs)

    def encode(self, prompt: Prompt, visual_tokens: VisualTokens) -> Encoded:
        """A prompt as tokens, with its pixels where these are needed in any case, in main memory.

        Raises as `Preprocessor.encode` does, and a `QuestionError` where the model does not allow `visual_tokens`.
        """
        if visual_tokens == "all" or not prompt.images:
            return Encoded(self._encoded(prompt))
        whole: Mapping[str, Any] = {} if visual_tokens == "pooled" else self._with_pixels(prompt)
        reduction = self._vision.reducer.reduction(prompt, visual_tokens, whole.get("pixel_values"))
        return Encoded({**whole, **self._vision.expander.written(prompt, reduction.counts)}, reduction)

    def _encoded(self, prompt: Prompt) -> dict[str, Any]:
        words = self._vision.expander.expand(prompt)
        return self._with_pixels(prompt) if words is None else {**words}

    def _with_pixels(self, prompt: Prompt) -> dict[str, Any]:
        inputs = self._preprocessor.encode(prompt, dtype=self._model.dtype)
        self._vision.expander.learn(prompt, inputs)
        return {**inputs}

    def begin(self, prompt: Prompt, encoded: Encoded, keys: PrefixKeys, *, seeded: bool = False) -> Prefill:
        """What the model is given for a prompt.

        Args:
            prompt: what was asked.
            encoded: what `encode` made of it, on the model's device.
            keys: what its tokens stand for.
            seeded: whether tokens are drawn so that they can be drawn again: then nothing depends on earlier questions.
        """
        inputs = encoded.inputs
        unused = self.unfit_for(inputs)
        if unused is not None:
            seen = self._vision.see(prompt, keys, inputs, 0, encoded.reduction, seeded=seeded)
            given = self._whole(prompt, inputs, seen)
            if self._caches.smaller:
                given["past_key_values"] = self._caches.new(len(keys.tokens))
            return Prefill(given, keys, unused=unused, seen=seen)
        positions = self._positions(inputs)
        off = "prefix_cache_bytes is 0" if self._budget == 0 else "a seed is given" if seeded else None
        if off is None:
            self._prefixes.trim(self._room(), self._spill())
            prefill = self._continued(prompt, encoded, keys, positions)
            if prefill is not None:
                self._prefixes.hits += 1
                return prefill
            self._prefixes.misses += 1
        seen = self._vision.see(prompt, keys, inputs, 0, encoded.reduction, seeded=seeded)
        cache = self._caches.new(len(keys.tokens))
        arguments = {**self._whole(prompt, inputs, seen), "past_key_values": cache}
        return self._divided(Prefill(arguments, keys, 0, cache, 1, off, positions.get("position_ids"), seen))

    def missing(self, keys: PrefixKeys) -> int:
        """How many tokens of a prompt are not known from earlier ones; for whoever has the weights."""
        return len(keys.tokens) - (0 if self._budget == 0 else keys.cut(self._prefixes.shared(keys.tokens)))

    def positions(self, inputs: Mapping[str, Any]) -> torch.Tensor | None:
        """Where each token of a prompt is, (…, 1, tokens); None where the model is not told."""
        return self._positions(inputs).get("position_ids")

    def keep(self, prefill: Prefill, said: Sequence[int]) -> None:
        """Keeps what the model has computed, for the next prompt.

        Args:
            prefill: a prompt that is through the model; its cache is None afterwards where it is not what it seemed.
            said: the tokens generated.
        """
        if prefill.cache is None:
            return
        tokens = np.concatenate([prefill.keys.tokens, np.array(said, np.int64)])
        length, layers = int(prefill.cache.get_seq_length()), [layer.stored for layer in prefill.cache.layers]
        whole = all(layer and all(each.shape[-2] == length for each in layer) for layer in layers)
        if not (whole and len(prefill.keys.tokens) <= length <= len(tokens)):
            prefill.unused = self.unfit = "the model does not keep keys and values of each token"
            prefill.cache = None
        elif prefill.unused is None:
            self._prefixes.keep(tokens[:length], layers, self._room(), self._spill())

    def use(self, prefill: Prefill) -> PrefixCacheUse:
        """What the receipt says of a prompt."""
        found = self._prefixes
        return PrefixCacheUse(
            tokens=prefill.tokens,
            hits=found.hits,
            misses=found.misses,
            bytes=found.bytes,
            spilled_bytes=found.spilled,
            unused=prefill.unused,
        )

    def use_of_other(self, other: PrefixCacheUse, tokens: int) -> PrefixCacheUse:
        """The same for a prompt that begins with so many tokens of another, of which this was said."""
        found = self._prefixes
        if other.unused is None:
            found.hits += 1
        now = {"tokens": tokens, "hits": found.hits, "misses": found.misses, "bytes": found.bytes}
        return other.model_copy(update=now)

    def use_of_features(self, seen: Seen) -> FeatureCacheUse:
        """What the receipt says of what a prompt shows."""
        found = self._features
        return FeatureCacheUse(
            known=seen.known,
            computed=seen.computed,
            hits=found.hits,
            misses=found.misses,
            bytes=found.bytes,
            unused=seen.unused,
        )

    def forget(self) -> bool:
        """Lets go of all that is kept; whether there was anything."""
        anything = bool(self._prefixes.bytes or self._features.bytes)
        self._prefixes.clear()
        self._features.clear()
        return anything

    def _continued(
        self, prompt: Prompt, encoded: Encoded, keys: PrefixKeys, positions: Mapping[str, Any]
    ) -> Prefill | None:
        """What follows after the longest beginning that is known; None where there is none to speak of."""
        inputs = encoded.inputs
        cut = keys.cut(self._prefixes.shared(keys.tokens))
        if not any(stop <= cut for start, stop in keys.blocks if start < stop):
            return None  # a few words alone
        seen = self._vision.see(prompt, keys, inputs, cut, encoded.reduction, seeded=False)
        rest = self._media_behind(cut, prompt, inputs, keys) if seen.outputs is None else _given(seen.outputs)
        if rest is None:
            return None
        cache = self._caches.new(len(keys.tokens), self._prefixes.take(keys.tokens[:cut]), cut)
        whole = {name: inputs[name] for name in _PER_TOKEN if name in inputs}
        arguments = {**whole, **positions, **rest, "past_key_values": cache}
        return self._divided(
            Prefill(arguments, keys, cut, cache, position_ids=positions.get("position_ids"), seen=seen)
        )

    def _divided(self, prefill: Prefill) -> Prefill:
        """The same in parts, where it is long and the model can do with that."""
        beside = (*_PER_TOKEN, "position_ids", "past_key_values")
        media = {name: value for name, value in prefill.arguments.items() if name not in beside}
        ids = prefill.arguments["input_ids"][:, prefill.tokens :]
        if ids.shape[1] > chunking.LONG and chunking.can_divide(
            self._model, ids, media, self._preprocessor.family.visual(ids)
        ):
            prefill.arguments["prefill_chunk_size"] = chunking.CHUNK
            prefill.passes = ceil(ids.shape[1] / chunking.CHUNK)
        return prefill

    def _whole(self, prompt: Prompt, inputs: Mapping[str, Any], seen: Seen) -> dict[str, Any]:
        """What the model is given that knows nothing of a prompt."""
        if seen.outputs is not None:
            return {name: value for name, value in inputs.items() if name not in PIXELS} | _given(seen.outputs)
        if PIXELS & inputs.keys():
            return dict(inputs)
        media = self._preprocessor.encode_media(prompt.images, prompt.videos, self._device, self._model.dtype)
        return {**media, **inputs}

    def _media_behind(
        self, cut: int, prompt: Prompt, inputs: Mapping[str, Any], keys: PrefixKeys
    ) -> dict[str, Any] | None:
        """The pixels, and what goes with them, of the videos and images behind a place.

        None where the processor makes others of these alone than of all.
        """
        images, videos = keys.media_before(cut)
        alone = self._preprocessor.encode_media(
            prompt.images[images:], prompt.videos[videos:], self._device, self._model.dtype
        )
        family = self._preprocessor.family
        if family.visual(alone["input_ids"]) != family.visual(inputs["input_ids"][:, cut:]):
            return None
        rest = {name: value for name, value in alone.items() if name not in _PER_TOKEN}
        if not PIXELS & inputs.keys():  # the words alone: pictures are made of these, and of no others
            return rest
        return rest if all(_ends_with(inputs.get(name), value) for name, value in rest.items()) else None

    def _positions(self, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Where each token of the whole prompt is, as `generate` finds it before anything is known: models whose
        positions are not plain would not see the media any more that they need for it.
        """
        if "position_ids" not in signature(self._model.forward).parameters:
            return {}
        ids = inputs["input_ids"]
        given = {name: value for name, value in inputs.items() if name != "input_ids"}
        return {"position_ids": self._model._prepare_position_ids_for_generation(ids, given)}

    def _room(self) -> int:
        if self._budget is not None:
            return self._budget
        return int(_SHARE * (free_bytes(self._device) + self._prefixes.bytes))

    def _spill(self) -> int:
        """Bytes of main memory for what has to make room on a GPU."""
        import torch

        if self._device.type != "cuda":
            return 0
        if self._budget is not None:
            return self._budget
        return int(_SHARE * (free_bytes(torch.device("cpu")) + self._prefixes.spilled))


def _given(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the model takes for what its vision tower has looked at already."""
    return {"mm_encoder_outputs": dict(outputs)} if outputs else {}


def _ends_with(whole: Any, part: Any) -> bool:
    """Whether a part is the last of a whole, along one dimension; of what is no tensor, nothing is asked."""
    import torch

    if not isinstance(part, torch.Tensor):
        return True
    if not isinstance(whole, torch.Tensor) or whole.ndim != part.ndim:
        return False
    along = [dim for dim in range(part.ndim) if whole.shape[dim] != part.shape[dim]]
    if len(along) != 1 or part.shape[along[0]] > whole.shape[along[0]]:
        return False
    dim = along[0]
    return torch.equal(whole.narrow(dim, whole.shape[dim] - part.shape[dim], part.shape[dim]), part)
