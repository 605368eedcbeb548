"""A streamed JSON array, taken apart into its elements before it is whole.

Theory of operation. Google answers ``streamGenerateContent`` with one JSON array whose elements come
one by one. To cut it, only brackets count, and only those outside strings; so a single regular
expression runs, in C, over everything up to the next bracket, whole strings included, and Python is
back in charge for one step per bracket. A string that its piece does not end is remembered as such,
with the backslash it may have ended on, and is never looked at twice.

Promises:

* any split of the same bytes gives the same events; each element that is an object or an array is one,
  of type ``element``, its bytes exactly as sent; a lone top-level object counts as an array of one;
* work is linear in the bytes fed, also for one element of many megabytes that comes in small pieces;
* no more is held than one element; an element above ``limit`` bytes is dropped whole and counted.

Elements that are no objects or arrays carry no fact and are passed over. Whether what lies between the
brackets is JSON at all is for the reader of the element to find out.
"""

from __future__ import annotations

import re

__all__ = ["JSONArrayParser"]

_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+', re.DOTALL)
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class JSONArrayParser:
    """Feed bytes, get elements.

    ``skip`` may be changed between calls: elements that start with one of these prefixes are not given.
    ``limit`` is in bytes.
    """

    def __init__(self, *, limit: int = 64 * 1024 * 1024) -> None:
        self.skip: tuple[bytes, ...] = ()
        self.problem: str | None = None
        self.oversized = 0
        self.closed: int | None = None
        """How many elements of the last call stood in the array; None as long as the array is not closed."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._outside = 0  # the depth at which elements stand: 1 in the array, 0 where there is none
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The elements that these bytes complete."""
        events: list[tuple[bytes, bytes]] = []
        start = position = 0
        end = len(data)
        while position < end:
            if self._in_string:
                position = self._string(data, position)
                continue
            match = _TO_BRACKET.match(data, position)
            position = match.end() if match else end
            if position == end:
                break
            byte = data[position]
            position += 1
            if byte == 0x22:  # the quote of a string that these bytes do not end
                self._in_string = True
            elif byte in b"[{":
                if self._depth == self._outside:
                    if self._depth == 0 and byte == 0x5B:
                        self._outside = 1
                    else:
                        start = position - 1
                self._depth += 1
            elif self._depth > self._outside:
                self._depth -= 1
                if self._depth == self._outside:
                    self._hold(data[start:position])
                    events += self._element()
            else:
                self._depth = self._outside = 0
                self.closed = len(events) if self.closed is None else self.closed
        if self._depth > self._outside:
            self._hold(data[start:])
        return events

    def finish(self) -> list[tuple[bytes, bytes]]:
        """Nothing: an element that was cut is no JSON, and says only that the end is missing."""
        if self._depth:
            self.problem = "the JSON array ended before its last element"
        self._parts.clear()
        return []

    def _string(self, data: bytes, position: int) -> int:
        """Where the open string ends, or else these bytes do."""
        if self._escaped:
            self._escaped = False
            position += 1
        match = _STRING.match(data, position)
        position = match.end() if match else len(data)
        if position < len(data):
            if data[position] == 0x22:
                self._in_string = False
            else:
                self._escaped = True
            position += 1
        return position

    def _hold(self, piece: bytes) -> None:
        if self._size <= self._limit < self._size + len(piece):
            self.oversized += 1
            self._parts.clear()
        self._size += len(piece)
        if self._size <= self._limit:
            self._parts.append(piece)

    def _element(self) -> list[tuple[bytes, bytes]]:
        held = self._size <= self._limit
        element = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return [(b"element", element)] if held and not (self.skip and element.startswith(self.skip)) else []
