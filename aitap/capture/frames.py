"""The recorder's end of the line: bytes in, arrays of what the hooks noted out. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.relay import BEGIN, BODY

__all__ = ["Frames"]


class Frames:
    """Cuts the line into frames, sans-IO. What the proxy did not send to its end, because it died, is let go."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._wanted = 8
        self._bodies: list[bytes] = []

    def feed(self, data: bytes) -> list[list[Any]]:
        """The arrays that these bytes complete, their long bodies in place."""
        self._data += data
        found = []
        start = 0
        while len(self._data) - start >= self._wanted:
            size = int.from_bytes(self._data[start : start + 8])
            end = start + 8 + (size & ~BODY)
            if end > len(self._data):
                self._wanted = end - start
                break
            self._wanted = 8
            frame = bytes(memoryview(self._data)[start + 8 : end])
            start = end
            if size & BODY:
                self._bodies.append(frame)
            else:
                found.append(self._whole(_decode(frame)))
        del self._data[:start]
        return found

    def _whole(self, items: list[Any]) -> list[Any]:
        for item in items if self._bodies else ():
            if item[0] == BEGIN and item[4] is None:
                item[4] = self._bodies.pop(0)
        return items


_decode = msgspec.msgpack.Decoder().decode
