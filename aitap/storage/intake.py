"""What waits in memory for the writer: records, bounded by number and by size, and places marked among them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aitap.record import Interception

__all__ = ["Intake", "Mark", "records_of", "weight"]

_BASE = 4096
"""Bytes that a record takes in memory without its texts, about."""


class Mark(threading.Event):
    """A place in the queue; set when all before it is done with."""


def weight(record: Interception) -> int:
    """The bytes that a record takes in memory, about."""
    size = _BASE
    # Most have none of most, and to begin a loop costs more than to ask.
    if record.user_prompts:
        for prompt in record.user_prompts:
            size += len(prompt.prompt)
    if record.tool_usages:
        for tool in record.tool_usages:
            size += 1024 + len(tool.input)
    if record.model_thoughts:
        for thought in record.model_thoughts:
            size += 512 + len(thought.content)
    if record.contents:
        for message in record.contents:
            size += 512 + len(message.content)
    return size


class Intake:
    """A queue. All methods may be called from any thread; none waits but :meth:`wait`."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.bytes = 0
        """What the records take in memory, about."""
        self._most = most
        self._most_bytes = most_bytes
        self._items: deque[tuple[float, int, Interception | Mark]] = deque()
        self._records = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._hurry = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def oldest(self) -> float:
        """When the first of them came (``time.monotonic``); infinite where nothing waits."""
        try:
            return self._items[0][0]
        except IndexError:
            return float("inf")

    def put(self, record: Interception) -> bool:
        """Add a record; False where there is no place."""
        size = weight(record)
        with self._lock:  # the condition's own
            if self._records >= self._most or (self._items and self.bytes + size > self._most_bytes):
                return False
            self._records += 1
            self.bytes += size
            self._items.append((time.monotonic(), size, record))
            if len(self._items) == 1:
                self._changed.notify_all()
        return True

    def mark(self, mark: Mark, *, hurry: bool) -> None:
        """Mark this place; with ``hurry`` nobody waits for more to come."""
        with self._changed:
            self._items.append((time.monotonic(), 0, mark))
            self._hurry = self._hurry or hurry
            self._changed.notify_all()

    def hurry(self) -> None:
        """Have whoever waits look."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def wait(self, idle: float, gather: float, enough: int) -> None:
        """Until something is there, at most ``idle`` seconds; then ``gather`` seconds for more, unless it is enough."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._hurry, idle)
            if gather and self._items and len(self._items) < enough:
                self._changed.wait_for(lambda: self._hurry, gather)

    def take(self, most: int) -> list[Interception | Mark]:
        """The oldest, so many at most."""
        with self._changed:
            found: list[Interception | Mark] = []
            while self._items and len(found) < most:
                _, size, item = self._items.popleft()
                self.bytes -= size
                self._records -= not isinstance(item, Mark)
                found.append(item)
            # Two threads wait here: what one of them does not take hurries the other.
            self._hurry = bool(self._items)
        return found

    def put_back(self, items: Sequence[Interception | Mark]) -> None:
        """What was taken last, in front of all others."""
        now = time.monotonic()
        with self._changed:
            for item in reversed(items):
                size = 0 if isinstance(item, Mark) else weight(item)
                self.bytes += size
                self._records += not isinstance(item, Mark)
                self._items.appendleft((now, size, item))
            self._changed.notify_all()


def records_of(items: Iterable[Interception | Mark]) -> list[Interception]:
    """Without the marks."""
    return [item for item in items if not isinstance(item, Mark)]
