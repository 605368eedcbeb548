"""A bounded memory of what was seen lately."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Recent"]

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that keeps the ``limit`` keys used last, at O(1) a call. Once full, its size does not change."""

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 1)
        # Python finds the first key of a dictionary by walking past all that were removed before it: so those that
        # are to go stand in a list, made anew when all of them have gone.
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._going: list[K] = []

    def get(self, key: K) -> V | None:
        """The value, which counts as used from now on; None where it is not known."""
        value = self._new.get(key)
        if value is None:
            value = self._old.get(key)
        if value is not None:
            self[key] = value
        return value

    def __setitem__(self, key: K, value: V) -> None:
        new, old = self._new, self._old
        # What is used again stands at the end again.
        new.pop(key, None)
        old.pop(key, None)
        if len(new) >= self._limit:
            self._old = old = new
            self._new = new = {}
            self._going = list(old)
            self._going.reverse()
        while self._going and len(new) + len(old) >= self._limit:
            old.pop(self._going.pop(), None)
        new[key] = value

    def __len__(self) -> int:
        return len(self._new) + len(self._old)
