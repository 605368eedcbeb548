"""What was handed over to the recorder and is not safe yet: the next recorder is given it where this one dies.

Frames are numbered from 0 on for as long as the proxy runs, and held in the order in which they went; to hold one
costs the event loop an append. Twice a second the recorder says from which frame on something is not safe in any
form, and from which on something has not ended safely. What no frame before the first is needed for is let go when it
is more than :data:`WANTED` bytes, what is needed only above :data:`NEEDED`.

A recorder makes the same ids of the same frames (:mod:`aitap.capture.own_ids`), so what the dead one had stored all
the same is not stored twice.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

__all__ = ["NEEDED", "WANTED", "Held"]

NEEDED = 64 * 1024 * 1024
"""The most bytes held of what would be lost."""

WANTED = 2 * 1024 * 1024
"""The most bytes held of what would only be cut short: the beginning of its records is safe."""


class _Frame(NamedTuple):
    number: int
    pieces: list[memoryview]
    size: int
    begun: int


class Held:
    """The frames, oldest first."""

    def __init__(self) -> None:
        self._frames: deque[_Frame] = deque()
        self._next = 0
        self._fresh = 0
        self._bytes = 0
        self._missing: deque[tuple[int, int]] = deque()
        """Frames that were needed and had to go: number, and how many exchanges begin in it."""
        self._sockets: dict[int, Any] = {}
        self._closed: deque[tuple[int, int]] = deque()
        """Sockets that are closed: the frame that says so, and the number of the socket."""

    def add(self, pieces: list[memoryview], size: int, begun: int, waiting: int) -> None:
        """Hold a frame in which so many exchanges begin; ``waiting`` bytes of all are not handed over yet."""
        self._frames.append(_Frame(self._next, pieces, size, begun))
        self._next += 1
        self._bytes += size
        while self._bytes - waiting > NEEDED:
            gone = self._pop()
            self._missing.append((gone.number, gone.begun))

    def let_go(self, needed: int, wanted: int) -> None:
        """Nothing before the frame ``needed`` is unsafe, nothing before ``wanted`` goes on."""
        while self._missing and self._missing[0][0] < needed:
            self._missing.popleft()
        while self._frames and self._frames[0].number < wanted:
            self._pop()
        while self._bytes > WANTED and self._frames[0].number < needed:
            self._pop()
        while self._closed and self._closed[0][0] < self.first:
            self._sockets.pop(self._closed.popleft()[1], None)

    def _pop(self) -> _Frame:
        frame = self._frames.popleft()
        self._bytes -= frame.size
        return frame

    def opened(self, number: int, item: Any) -> None:
        """A WebSocket has said its first word; ``item`` tells of its handshake. It may be open for days."""
        self._sockets[number] = item

    def closed(self, number: int) -> None:
        """The next frame says that this WebSocket is closed."""
        if number in self._sockets:
            self._closed.append((self._next, number))

    @property
    def sockets(self) -> list[Any]:
        """The handshakes of all WebSockets that something held may be of."""
        return list(self._sockets.values())

    @property
    def first(self) -> int:
        """The number of the oldest frame, or of the one that comes next."""
        return self._frames[0].number if self._frames else self._next

    @property
    def begun(self) -> int:
        """How many exchanges begin in what is held."""
        return sum(frame.begun for frame in self._frames)

    @property
    def missing(self) -> int | None:
        """How many exchanges begin in what was needed and is not held any more; None where nothing is missing."""
        return sum(begun for _, begun in self._missing) if self._missing else None

    def again(self, waiting: int) -> tuple[int, int]:
        """Where another recorder begins, and the first frame that the one before cannot have had.

        ``waiting`` bytes of all never went out.
        """
        before = self._bytes - waiting
        for frame in self._frames:
            if before <= 0:
                break
            before -= frame.size
            # What the last one did not get, one before it may have had.
            self._fresh = max(self._fresh, frame.number + 1)
        self._missing.clear()
        return self.first, max(self._fresh, self.first)

    def give_up(self, waiting: int) -> None:
        """Hold no longer what went out: those who read it died of it."""
        while self._frames and self._bytes - waiting > 0:
            gone = self._pop()
            self._missing.append((gone.number, gone.begun))

    def pieces(self) -> list[memoryview]:
        """All that is held, as it goes over the line."""
        return [piece for frame in self._frames for piece in frame.pieces]

    @property
    def bytes(self) -> int:
        """Of all pieces."""
        return self._bytes
