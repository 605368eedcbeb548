"""A file of saved traffic: read once, front to back, in bounded pieces, and it knows how far it is."""

from __future__ import annotations

from typing import BinaryIO, Literal

__all__ = ["SavedFile"]

_PIECE = 1 << 20
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


class SavedFile:
    """Bytes of ``raw``, which may be a pipe. ``position`` is how many were taken."""

    def __init__(self, raw: BinaryIO) -> None:
        self.position = 0
        self._raw = raw
        self._ahead = b""

    def kind(self) -> Literal["flows", "har", "empty"] | None:
        """What the first bytes say it is; None where they say nothing we know."""
        start = self.peek(64)
        text = start.removeprefix(_BOM).lstrip(_BLANK)
        if text.startswith(b"{"):
            return "har"
        if start[:1].isdigit():
            return "flows"
        return None if text else "empty"

    def peek(self, size: int) -> bytes:
        """The next so many bytes, or all that are left, which are not taken yet."""
        while len(self._ahead) < size and (piece := self._raw.read(size - len(self._ahead))):
            self._ahead += piece
        return self._ahead[:size]

    def read(self, size: int = _PIECE) -> bytes:
        """Take so many bytes, or all that are left."""
        # In pieces: a broken file may claim any length, and memory is not given for a claim.
        found = [self._ahead[:size]]
        self._ahead = self._ahead[size:]
        wanted = size - len(found[0])
        while wanted > 0 and (piece := self._raw.read(min(wanted, _PIECE))):
            found.append(piece)
            wanted -= len(piece)
        data = found[0] if len(found) == 1 else b"".join(found)
        self.position += len(data)
        return data
