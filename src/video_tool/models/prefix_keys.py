"""What a prompt's tokens stand for, so that two prompts can be compared token by token, media included."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from video_tool.frames import Frames
from video_tool.models.families import Family
from video_tool.models.families.metadata import video_metadata
from video_tool.models.reducing import Reduction
from video_tool.prompt import Prompt

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PrefixKeys:
    """A prompt, as a prefix cache compares it.

    Attributes:
        tokens: a number for each token: its id, or, for visual tokens, a negative one made of the bytes of the video or
            image. Where two prompts begin with the same numbers, they begin with the same words and the same pixels.
        blocks: from where to where (exclusive) the visual tokens of each video or image reach; rising.
        media: how many images and how many videos each block stands for.
        digests: of each block, what its video or image shows and what the processor is told of it; none where there is
            no telling where one ends and the next begins.
        counts: of each block, its visual tokens before they were made fewer.
    """

    tokens: NDArray[np.int64]
    blocks: tuple[tuple[int, int], ...]
    media: tuple[tuple[int, int], ...]
    digests: tuple[bytes, ...]
    counts: tuple[int, ...]

    def cut(self, place: int) -> int:
        """The last place, up to this one, that is not amid a video or an image, and has a token behind it."""
        place = min(place, len(self.tokens) - 1)
        return next((start for start, stop in self.blocks if start < place < stop), place)

    def same(self, other: PrefixKeys) -> int:
        """How many tokens both begin with in common."""
        return common_length(self.tokens, other.tokens)

    def media_before(self, place: int) -> tuple[int, int]:
        """How many images and how many videos are whole before a place."""
        whole = [count for (_, stop), count in zip(self.blocks, self.media, strict=True) if stop <= place]
        return sum(images for images, _ in whole), sum(videos for _, videos in whole)


def common_length(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """How many numbers two begin with in common."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length


def prefix_keys(ids: torch.Tensor, prompt: Prompt, family: Family, reduction: Reduction | None = None) -> PrefixKeys:
    """What the tokens of a prompt stand for.

    Args:
        ids: (1, tokens), of `Family.encode`.
        prompt: what was encoded.
        family: how it was.
        reduction: which of its visual tokens it has kept; None for all.
    """
    tokens = np.array(ids[0].tolist(), np.int64)
    places = np.flatnonzero(np.isin(tokens, sorted(family.visual_ids)))
    digests, wholes, media = _media(prompt, family)
    hashes, counts = digests, wholes
    if reduction is not None:
        # read in part, what is shown is something else
        about = map(reduction.about, range(len(digests)))
        hashes = [blake2b(done + each).digest() if done else each for done, each in zip(about, digests, strict=True)]
        counts = list(reduction.counts)
    divided = sum(counts) == len(places) and 0 not in counts
    if not divided:
        # no telling where one ends and the next begins: all count as one
        together = blake2b(b"".join(hashes)).digest() if hashes else b""
        hashes, counts, media = [together], [len(places)], [(len(prompt.images), len(prompt.videos))]
    blocks: list[tuple[int, int]] = []
    done = 0
    for digest, count in zip(hashes, counts, strict=True):
        own = places[done : done + count]
        done += count
        tokens[own] = -1 - (int.from_bytes(digest[:8]) >> 2)
        blocks.append((int(own[0]), int(own[-1]) + 1) if count else (0, 0))
    return PrefixKeys(tokens, tuple(blocks), tuple(media), tuple(digests) if divided else (), tuple(wholes))


def _media(prompt: Prompt, family: Family) -> tuple[list[bytes], list[int], list[tuple[int, int]]]:
    """Of each image and video, in reading order: its hash, its visual tokens, and (1, 0) or (0, 1)."""
    images, videos = iter(prompt.images), iter(prompt.videos)
    alone = len(prompt.images) == 1
    hashes: list[bytes] = []
    counts: list[int] = []
    media: list[tuple[int, int]] = []
    for token in _placeholders(prompt, family):
        if token == family.style.image_token:
            image = next(images)
            size = (image.shape[0], image.shape[1])
            copies = 1 if alone else 2  # some processors look less closely at several than at one
            hashes.append(_digest("image", image))
            counts.append(family.visual_tokens([size] * copies, []) // copies)
            media.append((1, 0))
        else:
            video = next(videos)
            frames, height, width = video.images.shape[:3]
            hashes.append(_video_digest(video))
            counts.append(family.visual_tokens([], [(frames, height, width)]))
            media.append((0, 1))
    return hashes, counts, media


def _placeholders(prompt: Prompt, family: Family) -> list[str]:
    style = family.style
    tokens = [token for token in (style.image_token, style.video_token) if token]
    return re.findall("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))), prompt.text)


def _video_digest(video: Frames) -> bytes:
    """With all that the processor is told of it: times may move its tokens without being written among them."""
    return _digest(repr(sorted(video_metadata(video).items())), video.images)


def _digest(about: str, pixels: NDArray[Any]) -> bytes:
    found = blake2b(f"{about} {pixels.shape} {pixels.dtype}".encode())
    found.update(np.ascontiguousarray(pixels).data)
    return found.digest()
