"""What a model is given for a prompt: all of it, or what follows after what it has keys and values of already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from video_tool.answer import PrefixCacheUse
from video_tool.model_options import KVCache
from video_tool.models import chunking
from video_tool.models.free_memory import free_bytes
from video_tool.models.prefix_cache import Layer, PrefixCache
from video_tool.models.prefix_keys import PrefixKeys
from video_tool.models.preprocessing import Preprocessor
from video_tool.prompt import Prompt

if TYPE_CHECKING:
    import torch

_SHARE = 0.25
"""Of the memory that is free, or that the cache has already: what it may take where no budget is given."""

_HALF = 0.5
"""Of the memory that is free: the rest is for what layers are at, and for a layer's keys and values while they grow."""

_PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids")
"""What processors make for each token of the whole prompt, and models take for the whole though they know part."""


@dataclass
class Prefill:
    """One prompt on its way through the model.

    Attributes:
        arguments: what `generate` of Transformers is given for it.
        keys: what its tokens stand for.
        tokens: how many of them need no computing.
        cache: where the model puts keys and values, which holds those of these tokens; None where it has to use one of
            its own.
        passes: in how many parts it goes through the model.
        unused: why nothing is kept for later prompts; None where it is.
        position_ids: where each of its tokens is, (…, 1, tokens); None where the model is not told.
    """

    arguments: dict[str, Any]
    keys: PrefixKeys
    tokens: int = 0
    cache: Any = None
    passes: int = 1
    unused: str | None = None
    position_ids: torch.Tensor | None = None


@dataclass(frozen=True)
class Beginning:
    """Tokens whose keys and values are known.

    Attributes:
        prefill: its cache holds the first of them, and perhaps others behind, of another question.
        cut: how many of them.
        tail: what is stored of those that follow, for each layer; (1, heads, tokens, size) each.
    """

    prefill: Prefill
    cut: int
    tail: Sequence[Layer] = ()

    @property
    def length(self) -> int:
        """Of how many tokens."""
        return self.cut + (self.tail[0][0].shape[-2] if self.tail else 0)

    def stored(self, layer: int, start: int) -> Layer:
        """What one layer has of these from a token on, which is none of the tail."""
        import torch

        first = tuple(each[..., start : self.cut, :] for each in self.prefill.cache.layers[layer].stored)
        if not self.tail:
            return first
        return tuple(torch.cat(parts, dim=-2) for parts in zip(first, self.tail[layer], strict=True))


class Prefiller:
    """Lets prompts of one model begin where an earlier one was the same.

    Keys and values of a token follow from the tokens before it, whatever comes behind, where attention is causal. A
    model of which more has to be known than those, or less is kept, is given every prompt whole.

    Args:
        model: of Transformers, on its device.
        preprocessor: makes its inputs.
        prefixes: what is kept of the prompts before; all who use the weights share it.
        device: where inputs go.
        budget: most bytes that are kept; None for a share of the memory that is free.
        kv_cache: how keys and values are made smaller.

    Attributes:
        unfit: why the model is given every prompt whole; None where it need not be.
    """

    def __init__(
        self,
        model: Any,
        preprocessor: Preprocessor,
        prefixes: PrefixCache,
        device: torch.device,
        budget: int | None,
        kv_cache: KVCache | None = None,
    ) -> None:
        self._model, self._preprocessor, self._prefixes = model, preprocessor, prefixes
        self._device, self._budget = device, budget
        self._kv_cache: KVCache | None = kv_cache
        self.unfit = why_unfit(model)

    def unfit_for(self, inputs: Mapping[str, Any]) -> str | None:
        """Why the model is given this prompt whole; None where it need not be."""
        return self.unfit or _steered(inputs)

    def begin(self, prompt: Prompt, inputs: Mapping[str, Any], keys: PrefixKeys, *, seeded: bool = False) -> Prefill:
        """What the model is given for a prompt.

        Args:
            prompt: what was asked.
            inputs: all that was made of it, on the model's device.
            keys: what its tokens stand for.
            seeded: whether tokens are drawn so that they can be drawn again: then nothing depends on earlier questions.
        """
        unused = self.unfit_for(inputs)
        if unused is not None:
            small = {"past_key_values": self._cache(len(keys.tokens))} if self._kv_cache is not None else {}
            return Prefill({**inputs, **small}, keys, unused=unused)
        positions = self._positions(inputs)
        off = "prefix_cache_bytes is 0" if self._budget == 0 else "a seed is given" if seeded else None
        if off is None:
            self._prefixes.trim(self._room(), self._spill())
            prefill = self._continued(prompt, inputs, keys, positions)
            if prefill is not None:
                self._prefixes.hits += 1
                return prefill
            self._prefixes.misses += 1
        cache = self._cache(len(keys.tokens))
        arguments = {**inputs, "past_key_values": cache}
        return self._divided(Prefill(arguments, keys, 0, cache, 1, off, positions.get("position_ids")))

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

    def fork(self, prefill: Prefill) -> Any:
        """A cache that holds what a prompt's does, and may go on differently."""
        return self.joined([Beginning(prefill, len(prefill.keys.tokens))])

    def joined(self, beginnings: Sequence[Beginning]) -> Any:
        """A cache that holds beginnings, one in a row; what is missing to the longest is in front of the others.

        What all of them share is there once, where the model's attention can do with that.
        """
        from video_tool.models.kv_cache import SharedLayer

        cache = self._cache(0)
        cut = _shared(beginnings)
        longest = max(each.length for each in beginnings)
        for number, layer in enumerate(cache.layers):
            if cut:
                first, *_ = beginnings
                cache.layers[number] = SharedLayer(_until(first.prefill.cache.layers[number].stored, cut), layer)
            if longest > cut:
                layer.begin([_stacked([each.stored(number, cut) for each in beginnings], longest - cut)], longest - cut)
        return cache

    @staticmethod
    def picked(cache: Any, row: int, parts: Sequence[slice]) -> list[Layer]:
        """What a cache that is joined has of parts of one row, which follow each other; for each layer.

        Args:
            cache: as `joined` gave it, and further tokens in it.
            row: whose.
            parts: of all its tokens; none of them of what all rows share.
        """
        import torch

        def of(tensor: torch.Tensor, before: int) -> torch.Tensor:
            places = torch.arange(before + tensor.shape[-2])
            chosen = torch.cat([places[part] for part in parts]) - before
            return tensor[row : row + 1, :, chosen.to(tensor.device)]

        return [tuple(of(each, layer.shared_tokens) for each in layer.stored) for layer in cache.layers]

    def most_rows(self, beginnings: Sequence[Beginning], tokens: int) -> int:
        """How many answers at once fit into half of the memory that is free.

        Args:
            beginnings: what is known of them.
            tokens: of each, in the end.
        """
        stored = [each for layer in beginnings[0].prefill.cache.layers for each in layer.stored]
        each = sum(tensor[:, :, :1].numel() * tensor.element_size() for tensor in stored)
        return max(1, int(_HALF * free_bytes(self._device)) // (each * (tokens - _shared(beginnings))))

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

    def use_of_other(self, prefill: Prefill, tokens: int) -> PrefixCacheUse:
        """The same for a prompt that begins with so many tokens of another, which is through the model."""
        if prefill.unused is None:
            self._prefixes.hits += 1
        return self.use(prefill).model_copy(update={"tokens": tokens})

    def _continued(
        self, prompt: Prompt, inputs: Mapping[str, Any], keys: PrefixKeys, positions: Mapping[str, Any]
    ) -> Prefill | None:
        """What follows after the longest beginning that is known; None where there is none to speak of."""
        cut = keys.cut(self._prefixes.shared(keys.tokens))
        if not any(stop <= cut for start, stop in keys.blocks if start < stop):
            return None  # a few words alone
        rest = self._media_behind(cut, prompt, inputs, keys)
        if rest is None:
            return None
        cache = self._cache(len(keys.tokens), self._prefixes.take(keys.tokens[:cut]), cut)
        whole = {name: inputs[name] for name in _PER_TOKEN if name in inputs}
        arguments = {**whole, **positions, **rest, "past_key_values": cache}
        return self._divided(Prefill(arguments, keys, cut, cache, position_ids=positions.get("position_ids")))

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

    def _media_behind(
        self, cut: int, prompt: Prompt, inputs: Mapping[str, Any], keys: PrefixKeys
    ) -> dict[str, Any] | None:
        """The pixels, and what goes with them, of the videos and images behind a place.

        None where the processor makes others of these alone than of all.
        """
        images, videos = keys.media_before(cut)
        if (images, videos) == (len(prompt.images), len(prompt.videos)):
            return {}
        alone = self._preprocessor.encode_media(
            prompt.images[images:], prompt.videos[videos:], self._device, self._model.dtype
        )
        family = self._preprocessor.family
        if family.visual(alone["input_ids"]) != family.visual(inputs["input_ids"][:, cut:]):
            return None
        rest = {name: value for name, value in alone.items() if name not in _PER_TOKEN}
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

    def _cache(self, expected: int, beginning: Sequence[Sequence[Layer]] = (), length: int = 0) -> Any:
        """A cache for so many tokens and those of an answer, which begins with what is known already."""
        from video_tool.models.kv_cache import LAYERS

        cache = _default_cache(self._model)
        cache.layers = [LAYERS[self._kv_cache](expected) for _ in cache.layers]
        for layer, parts in zip(cache.layers, beginning, strict=bool(beginning)):
            layer.begin(parts, length)
        return cache

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


def why_unfit(model: Any) -> str | None:
    """Why a model can't go on from keys and values; None where it can. Told by the model, whatever it is called."""
    from transformers.cache_utils import DynamicLayer

    text = model.config.get_text_config()
    if model.is_remote_code():
        return "the model runs code of its own"
    if model.config.is_encoder_decoder or not model._supports_default_dynamic_cache():
        return "the model keeps something else than keys and values"
    if model.generation_config.cache_implementation is not None or model.generation_config.use_cache is False:
        return "the checkpoint asks for a cache of another kind"
    if getattr(text, "use_bidirectional_attention", None) or getattr(text, "is_causal", True) is False:
        return "the model's attention looks ahead"
    if any(type(layer) is not DynamicLayer for layer in _default_cache(model).layers):
        return "the model forgets, so it can't go back to an earlier token"
    return None


def _steered(inputs: Mapping[str, Any]) -> str | None:
    """Why this prompt can't be divided: which kind each token is of steers what it attends to, behind it, too."""
    return "the model's attention looks ahead" if "token_type_ids" in inputs else None


def without_cache(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a model is given that is to compute all of a prompt."""
    ours = ("past_key_values", "prefill_chunk_size")
    return {name: value for name, value in arguments.items() if name not in ours}


def _default_cache(model: Any) -> Any:
    """A cache as `generate` makes it."""
    from transformers import DynamicCache

    return DynamicCache(config=model.config.get_text_config(decoder=True))


def _attended(prefill: Prefill) -> bool:
    """Whether all keys and values of a prompt that is through the model have gone through our own attention."""
    return all(layer.attended for layer in prefill.cache.layers)


def _shared(beginnings: Sequence[Beginning]) -> int:
    """How many tokens all have of one prefill that need to be there only once."""
    first, *others = beginnings
    if any(each.prefill is not first.prefill for each in others) or not _attended(first.prefill):
        return 0
    return min(each.cut for each in beginnings)


def _until(stored: Layer, cut: int) -> Layer:
    return tuple(each[..., :cut, :] for each in stored)


def _stacked(rows: Sequence[Layer], length: int) -> Layer:
    """What a layer has stored for each of several rows, with as much before it as is missing to a length."""
    import torch
    from torch.nn.functional import pad

    return tuple(
        torch.cat([pad(each, (0, 0, length - each.shape[-2], 0)) for each in parts])
        for parts in zip(*rows, strict=True)
    )


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
