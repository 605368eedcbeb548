"""JSON lines (``application/x-ndjson``, ``application/jsonl``), taken apart.

Promises:

* any split of the same bytes gives the same events; each line that is not blank is one, of type ``line``;
* work is linear in the bytes fed, also for one line of many megabytes that comes in small pieces;
* no more is held than one line; a line above ``limit`` bytes is dropped whole and counted.

A last line without its newline is given by :meth:`LineParser.finish`. White space round a line means
nothing, so that CR LF ends a line as LF does.
"""

from __future__ import annotations

__all__ = ["LineParser"]


class LineParser:
    """Feed bytes, get lines. ``limit`` is in bytes."""

    def __init__(self, *, limit: int = 64 * 1024 * 1024) -> None:
        self.skip: tuple[bytes, ...] = ()
        self.problem: str | None = None
        self.oversized = 0
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The lines that these bytes complete."""
        first, *others = data.split(b"\n")
        self._hold(first)
        events: list[tuple[bytes, bytes]] = []
        for piece in others:
            events += self._line()
            self._hold(piece)
        return events

    def finish(self) -> list[tuple[bytes, bytes]]:
        """The last line, where the stream ended without a newline."""
        return self._line()

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        if self._size <= self._limit < self._size + len(piece):
            self.oversized += 1
            self._parts.clear()
        self._size += len(piece)
        if self._size <= self._limit:
            self._parts.append(piece)

    def _line(self) -> list[tuple[bytes, bytes]]:
        line = b"".join(self._parts).strip()
        self._parts.clear()
        self._size = 0
        if not line or (self.skip and line.startswith(self.skip)):
            return []
        return [(b"line", line)]
