"""Server-sent events, incrementally.

Theory of operation. The event stream grammar (WHATWG HTML, 9.2.5-9.2.6) has three line ends, and a
line end can be cut in half by the network. :class:`SSEParser` first makes every line end a LF, which
changes nothing that the grammar can see, and then cuts the stream at blank lines. What lies between
two blank lines is a *block*; most blocks of an AI stream are text deltas nobody has to look into, so
a block is compared with the reader's ``skip`` prefixes before anything is taken apart.

Promises:

* any split of the same bytes gives the same events;
* work is linear in the bytes fed, also for one event of many megabytes that comes in small pieces;
* no more is held than one block; a block above ``limit`` bytes is dropped whole and counted.

Where we differ from a browser, on purpose: a last block without its blank line is given by
:meth:`SSEParser.finish` (servers do end streams so, and clients read them); ``id`` and ``retry``
are of no use to a recorder. Servers of llama.cpp say what went wrong in a field ``error``, which to
a browser is nothing: here it is the data of an event of that type. So is a block that is a bare JSON object.
"""

from __future__ import annotations

__all__ = ["Event", "SSEParser"]

Event = tuple[bytes, bytes]
"""Event type (``message`` where the stream names none) and data (its lines joined by LF)."""

_BOM = b"\xef\xbb\xbf"


class SSEParser:
    """Feed bytes, get events.

    ``skip`` may be changed between calls: blocks that start with one of these prefixes are counted in
    ``skipped`` and not given. ``limit`` is in bytes.
    """

    def __init__(self, *, limit: int = 64 * 1024 * 1024) -> None:
        self.skip: tuple[bytes, ...] = ()
        self.problem: str | None = None
        self.skipped = 0
        self.oversized = 0
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._dropping = False
        self._after_cr = False
        self._head: bytes | None = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        if self._head is not None:
            data = self._head + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._head = data
                return []
            self._head = None
            data = data.removeprefix(_BOM)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not data:
            return []
        if self._parts:
            cut_between = data[0] == 10 and self._parts[-1].endswith(b"\n")
            if not cut_between and b"\n\n" not in data:
                self._hold(data)
                return []
            self._parts.append(data)
            data = b"".join(self._parts)
            self._parts.clear()
        blocks = data.split(b"\n\n")
        self._size = 0
        rest = blocks.pop()
        if self._dropping and blocks:
            self._dropping = False
            del blocks[0]
        events = self._events(blocks)
        if rest:
            self._hold(rest)
        return events

    def finish(self) -> list[Event]:
        """The last event, where the stream ended without the blank line after it."""
        rest = b"".join(self._parts) if self._head is None else self._head
        self._parts.clear()
        self._head = None
        return [] if self._dropping else self._events([rest.removesuffix(b"\n")])

    def _hold(self, data: bytes) -> None:
        self._size += len(data)
        # Two bytes more than a block may have: line ends before and after it are held, but no part of it.
        if self._size > self._limit + 2 and not self._dropping:
            self._dropping = True
            self.oversized += 1
        if self._dropping:
            # The last byte tells whether the next piece starts with the second half of a blank line.
            self._parts = [data[-1:]]
        else:
            self._parts.append(data)

    def _events(self, blocks: list[bytes]) -> list[Event]:
        events = []
        for whole in blocks:
            block = whole.lstrip(b"\n") if whole.startswith(b"\n") else whole
            if not block:
                continue
            if self.skip and block.startswith(self.skip):
                self.skipped += 1
                continue
            if len(block) > self._limit:
                self.oversized += 1
                continue
            event = _parse(block)
            if event is not None:
                events.append(event)
        return events


def _parse(block: bytes) -> Event | None:
    kind = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            kind = value.removeprefix(b" ")
        elif name == b"error":
            kind = name
            data.append(value.removeprefix(b" "))
    if not data:
        # Google's front ends break a stream off with a bare JSON object, which its own libraries read.
        return (kind or b"message", block) if block.startswith(b"{") else None
    return kind or b"message", data[0] if len(data) == 1 else b"\n".join(data)
