"""A bounded memory whose entries are good for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["Remembered"]

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """At most ``size`` entries, each with the moment it was made; the oldest goes first. Times are monotonic."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> tuple[V, float] | None:
        """The entry and its age in seconds; None where there is none."""
        found = self._entries.get(key)
        return None if found is None else (found[0], time.monotonic() - found[1])

    def put(self, key: K, value: V) -> None:
        """Make or renew an entry."""
        self._entries.pop(key, None)
        self._entries[key] = value, time.monotonic()
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
