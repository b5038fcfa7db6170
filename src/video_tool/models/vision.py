"""The vision tower's part: the features of what a prompt shows, each picture looked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from inspect import signature
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from video_tool.models.expanding import Expander
from video_tool.models.families.counting import noise
from video_tool.models.families.family import as_video
from video_tool.models.feature_cache import FeatureCache
from video_tool.models.features import Features, apart, together
from video_tool.models.free_memory import free_bytes
from video_tool.models.prefix_keys import PrefixKeys
from video_tool.models.preprocessing import Preprocessor
from video_tool.models.reducing import Reducer, Reduction
from video_tool.prompt import Prompt

if TYPE_CHECKING:
    import torch

Kind: TypeAlias = Literal["image", "video"]

_ALONE: dict[Kind, tuple[int, int]] = {"image": (1, 0), "video": (0, 1)}
"""How `PrefixKeys.media` tells a block of one image, and of one video."""

PIXELS = frozenset({"pixel_values", "pixel_values_images", "pixel_values_videos", "image_patches"})
"""What Transformers' models call the pixels that their vision towers take."""

_SHARE = 0.0625
"""Of the memory that is free, or that the cache has already: what it may take where no budget is given. A frame's
features are a fiftieth or less of its keys and values."""

_NOISE = 0.01
"""Of the features' size: what sums in another order change them by, in any dtype. What lies beside a picture, where a
tower heeds it, changes them by more than that."""


_FEW = 2
"""Frames of a video of noise."""


@dataclass(frozen=True)
class Seen:
    """What the language model gets of what a prompt shows.

    Attributes:
        outputs: `mm_encoder_outputs` of Transformers' `generate`; None where the model has to be given pixels.
        known: pictures (videos, where the tower takes them whole) whose features were there already.
        computed: those that the tower has looked at for them.
        unused: why features were neither looked for nor kept; None where they were.
    """

    outputs: dict[str, Any] | None = None
    known: int = 0
    computed: int = 0
    unused: str | None = None


class VisionEncoder:
    """Has the vision tower look at each picture once.

    A picture's features follow from its own pixels where the tower's batch runs over pictures, and where it takes their
    patches in a row and was seen not to heed what else is in it. A model is given the pixels of all others.

    Args:
        model: of Transformers, on its device.
        preprocessor: makes its inputs.
        features: what is kept of the prompts before; all who use the weights share it.
        device: where inputs go.
        budget: most bytes that are kept; None for a share of the memory that is free.
        heeding: for a block in which the tower works: it ends there when the work around is to stop.

    Attributes:
        expander: writes out the words of prompts with images.
        reducer: makes prompts shorter.
    """

    def __init__(
        self,
        model: Any,
        preprocessor: Preprocessor,
        features: FeatureCache,
        device: torch.device,
        budget: int | None,
        heeding: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._model, self._preprocessor, self._features = model, preprocessor, features
        self._device, self._budget, self._heeding = device, budget, heeding
        encoders: dict[Kind, Any] = {"image": _encoder(model, "image"), "video": _encoder(model, "video")}
        self._encoders: dict[Kind, Any] = {kind: encode for kind, encode in encoders.items() if encode is not None}
        self._unfit: dict[Kind, str] = {}
        self._proven: set[Kind] = set()
        taken = self._taken("image") if _counts_plainly(model) else ()
        self.expander = Expander(preprocessor, taken)
        self.reducer = Reducer(model, self.expander, encodes="image" in self._encoders)

    def see(
        self,
        prompt: Prompt,
        keys: PrefixKeys,
        inputs: Mapping[str, Any],
        behind: int,
        reduction: Reduction | None,
        *,
        seeded: bool,
    ) -> Seen:
        """The features of the videos and images behind a place.

        Args:
            prompt: what was asked.
            keys: what its tokens stand for.
            inputs: all that was made of it, on the model's device; or its words alone, where these were known.
            behind: a token, not amid a video or image.
            reduction: which of its visual tokens it has kept; None for all.
            seeded: whether nothing may depend on earlier questions.

        Raises:
            CancelledError, DeadlineError: the work around is to stop.
        """
        media = [number for number, (start, _) in enumerate(keys.blocks) if start >= behind]
        if not media:
            return Seen({})
        kinds: dict[Kind, list[int]] = {
            kind: chosen
            for kind, alone in _ALONE.items()
            if (chosen := [number for number in media if keys.media[number] == alone])
        }
        off = "feature_cache_bytes is 0" if self._budget == 0 else "a seed is given" if seeded else None
        unused = self._why_not(keys, kinds) or (None if reduction else off)
        if unused is not None:
            return Seen(unused=unused)
        self._features.trim(self._room())
        # what is to be made fewer has to be had as features
        features_of = partial(self._of, self._features if off is None else FeatureCache())
        seen = Seen({}, unused=off)
        for kind, numbers in kinds.items():
            found = features_of(kind, numbers, prompt, keys, inputs)
            if isinstance(found, str):
                return Seen(unused=found)
            features, computed = found
            if reduction is not None:
                features = [reduction.of(number, each) for number, each in zip(numbers, features, strict=True)]
            known = len(numbers) - computed
            outputs = {**(seen.outputs or {}), kind: together(features)}
            seen = Seen(outputs, seen.known + known, seen.computed + computed, off)
        return seen

    def _why_not(self, keys: PrefixKeys, kinds: Mapping[Kind, Sequence[int]]) -> str | None:
        if not keys.digests:
            return "there is no telling whose tokens are whose"
        if not kinds.keys() <= self._encoders.keys():
            return "the model takes pixels alone"
        return next((self._unfit[kind] for kind in kinds if kind in self._unfit), None)

    def _of(
        self,
        cache: FeatureCache,
        kind: Kind,
        numbers: Sequence[int],
        prompt: Prompt,
        keys: PrefixKeys,
        inputs: Mapping[str, Any],
    ) -> tuple[list[Features], int] | str:
        """The features of these blocks, and of how many they had to be made; or why they can't be told apart."""
        company = self._company(prompt)
        names = {number: _key(kind, keys.digests[number], company) for number in numbers}
        features = {name: found for name in {*names.values()} if (found := cache.find(name)) is not None}
        missing = {name: number for number, name in reversed(names.items()) if name not in features}
        if missing:
            order = sorted(missing, key=lambda name: missing[name])
            made = self._made(kind, [missing[name] for name in order], prompt, keys, inputs)
            if isinstance(made, str):
                return made
            for name, each in zip(order, made, strict=True):
                features[name] = each
                cache.keep(name, each, self._room())
        return [features[names[number]] for number in numbers], len(missing)

    def _made(
        self, kind: Kind, numbers: Sequence[int], prompt: Prompt, keys: PrefixKeys, inputs: Mapping[str, Any]
    ) -> list[Features] | str:
        """The features of these blocks, by the tower; or why they can't be told apart."""
        all_numbers = [number for number, each in enumerate(keys.media) if each == _ALONE[kind]]
        picks = [all_numbers.index(number) for number in numbers]
        if not PIXELS & inputs.keys():  # the words alone: pictures are made of these, and of no others
            images = [prompt.images[pick] for pick in picks]
            inputs = self._preprocessor.encode_media(images, (), self._device, self._model.dtype)
            picks, total = list(range(len(picks))), len(picks)
        else:
            total = len(all_numbers)
        given = {name: inputs[name] for name in self._taken(kind) if name in inputs}
        rows = _rows(kind, given, total)
        if rows is None:
            return "there is no telling whose pixels are whose"
        if f"{kind}_grid_thw" in given and not self._heeds_nothing_beside(kind):
            return self._never(kind, "the vision tower looks at several pictures at once")
        made = self._encoded(kind, given if len(picks) == total else _picked(given, rows, picks))
        if made is None or [len(each.layers[0]) for each in made] != [keys.counts[number] for number in numbers]:
            return self._never(kind, "there is no telling whose features are whose")
        return made

    def _never(self, kind: Kind, reason: str) -> str:
        """Has the tower not be tried again in vain."""
        self._unfit[kind] = reason
        return reason

    def _encoded(self, kind: Kind, given: Mapping[str, Any]) -> list[Features] | None:
        """What the tower makes of pictures, picture by picture; None where that can't be told apart."""
        import torch

        with torch.inference_mode(), self._heeding():
            out = self._encoders[kind](**given, return_dict=True)
        return apart(out)

    def _heeds_nothing_beside(self, kind: Kind) -> bool:
        """Whether the same comes out for a picture whatever lies beside it; tried with small ones of noise."""
        if kind not in self._proven:
            pairs = int(
                getattr(getattr(self._preprocessor.processor, "video_processor", None), "temporal_patch_size", 1)
            )
            one, two, three = noise(3, pairs, 64, 64)
            layers: list[Sequence[torch.Tensor]] = []
            for place, both in ((0, (one, two)), (1, (three, one))):
                images, videos = [each[0] for each in both], [as_video(each) for each in both]
                shown = (images, ()) if kind == "image" else ((), videos)
                inputs = self._preprocessor.encode_media(*shown, self._device, self._model.dtype)
                made = self._encoded(kind, {name: inputs[name] for name in self._taken(kind) if name in inputs})
                if made is None or len(made) != len(both):
                    return False
                layers.append(made[place].layers)
            if not all(_alike(*each) for each in zip(*layers, strict=True)):
                return False
            self._proven.add(kind)
        return True

    def _company(self, prompt: Prompt) -> str:
        """What else of a prompt its pixels may depend on: how many pictures there are, and the sizes that they have."""
        if self._preprocessor.apart:
            return ""
        sizes = {image.shape[:2] for image in prompt.images}
        shapes = {video.images.shape[:3] for video in prompt.videos}
        return repr((len(prompt.images) == 1, sorted(sizes), len(prompt.videos) == 1, sorted(shapes)))

    def _taken(self, kind: Kind) -> tuple[str, ...]:
        return tuple(signature(self._encoders[kind]).parameters) if kind in self._encoders else ()

    def _room(self) -> int:
        if self._budget is not None:
            return self._budget
        return int(_SHARE * (free_bytes(self._device) + self._features.bytes))


def _encoder(model: Any, kind: Kind) -> Any:
    """Where a model can be given features, what makes them of pixels, as `generate` of Transformers finds it."""
    if not model._supports_mm_encoder_outputs() or kind not in model.input_modalities or model.is_remote_code():
        return None
    return getattr(model.base_model, f"get_{kind}_features", None)


def _counts_plainly(model: Any) -> bool:
    """Whether positions follow from how many tokens there are, not from what they show."""
    from transformers import GenerationMixin

    plain: Any = GenerationMixin
    return type(model)._prepare_position_ids_for_generation is plain._prepare_position_ids_for_generation


def _key(kind: Kind, digest: bytes, company: str) -> bytes:
    return blake2b(f"{kind} {company} ".encode() + digest).digest()


def _rows(kind: Kind, given: Mapping[str, Any], total: int) -> dict[str, list[int]] | None:
    """Of each of the tower's inputs, where each picture's rows begin, and where the last one's end.

    None where they can't be told: a batch runs over pictures, or there is a grid that says how many patches each has.
    """
    import torch

    grid = given.get(f"{kind}_grid_thw")
    patches = [] if grid is None else grid.prod(-1).tolist()
    found: dict[str, list[int]] = {}
    for name, value in given.items():
        if not isinstance(value, torch.Tensor):
            return None
        length = len(value)
        if length == total and (name not in PIXELS or not patches):
            found[name] = list(range(total + 1))
        elif len(patches) == total and length == sum(patches):
            found[name] = [sum(patches[:number]) for number in range(total + 1)]
        else:
            return None
    return found or None


def _picked(given: Mapping[str, Any], rows: Mapping[str, Sequence[int]], picks: Sequence[int]) -> dict[str, Any]:
    """The tower's inputs for some of the pictures."""
    import torch

    def of(name: str, value: Any) -> Any:
        reaches = list(pairwise(rows[name]))
        return torch.cat([value[slice(*reaches[pick])] for pick in picks])

    return {name: of(name, value) for name, value in given.items()}


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and float((one - other).norm()) <= _NOISE * float(one.norm())
