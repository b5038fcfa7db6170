"""What the vision tower made of frames, for the next prompt that shows them, in whatever order and company."""

from __future__ import annotations

from collections import OrderedDict

from video_tool.models.features import Features


class FeatureCache:
    """The features of pictures by what they show; the least recently used make room.

    As the prefix cache, it belongs to weights that are in memory, and to whoever has these answer.

    Attributes:
        hits: how many pictures had been looked at before.
        misses: how many had not.
        bytes: what it takes of the memory of the model's devices.
    """

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.bytes = 0
        self._features: OrderedDict[bytes, Features] = OrderedDict()

    def find(self, key: bytes) -> Features | None:
        """The features of a picture, which are of use now; None where it was not looked at, or has made room."""
        found = self._features.get(key)
        if found is None:
            self.misses += 1
            return None
        self._features.move_to_end(key)
        self.hits += 1
        return found

    def keep(self, key: bytes, features: Features, budget: int) -> None:
        """Keeps the features of a picture.

        Args:
            key: stands for all that they follow from.
            features: in memory of their own, and not to be written to any more.
            budget: bytes that the cache may have in all. What does not fit by itself is not kept.
        """
        if features.bytes > budget:
            return
        before = self._features.pop(key, None)
        self.bytes += features.bytes - (before.bytes if before else 0)
        self._features[key] = features
        self.trim(budget)

    def trim(self, budget: int) -> None:
        """Lets go of the least recently used until no more than so many bytes are kept."""
        while self.bytes > budget:
            _, oldest = self._features.popitem(last=False)
            self.bytes -= oldest.bytes

    def clear(self) -> None:
        """Lets go of everything."""
        self._features.clear()
        self.bytes = 0
