"""One block of the chain: its bytes, its hash, its signature.

The hash is BLAKE2b-256 of: ``aitap evidence 1``, the turn (8 bytes), the hash before (32 bytes), the moment and the
key's fingerprint (as text), and the four lists of entries, each text and list with its length (8 bytes) in front.
Numbers are big-endian. The signature is Ed25519 over the hash.
"""

from __future__ import annotations

import uuid
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["COLUMNS", "FIRST", "Block", "entries", "id_bytes", "id_text", "packed"]

FIRST = bytes(32)
"""What stands for the hash before in the first block."""

_MARK = b"aitap evidence 1"


class Block(msgspec.Struct, kw_only=True, gc=False):
    """A row of ``aitap_evidence``; its columns say what the fields are."""

    turn: int
    previous: bytes
    at: str
    key: str
    records: bytes | None = None
    messages: bytes | None = None
    readings: bytes | None = None
    removed: bytes | None = None
    hash: bytes = b""
    signature: bytes = b""

    def own_hash(self) -> bytes:
        """What :attr:`hash` must be."""
        made = blake2b(_MARK, digest_size=32)
        made.update(self.turn.to_bytes(8, "big", signed=True))
        for part in (self.previous, self.at.encode(), self.key.encode(), *self.lists()):
            made.update(len(part).to_bytes(8, "big"))
            made.update(part)
        return made.digest()

    def lists(self) -> tuple[bytes, bytes, bytes, bytes]:
        """The four lists of entries."""
        return self.records or b"", self.messages or b"", self.readings or b"", self.removed or b""


COLUMNS = ", ".join(Block.__struct_fields__)


def id_bytes(text: Any) -> bytes:
    """A UUID's 16 bytes. Raises ``ValueError`` for what is none."""
    data = bytes.fromhex(str(text).replace("-", ""))
    if len(data) != 16:
        raise ValueError(f"{text!r} is no UUID")
    return data


def id_text(data: bytes) -> str:
    """The reverse."""
    return str(uuid.UUID(bytes=data))


def packed(pairs: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Names with their digests, one after the other; None where there is nothing."""
    return b"".join(name + digest for name, digest in pairs) or None


def entries(data: bytes | None, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The reverse; a name has ``size`` bytes, a digest 32. What is cut off at the end is left out."""
    step = size + 32
    whole = data or b""
    for at in range(0, len(whole) - step + 1, step):
        yield whole[at : at + size], whole[at + size : at + step]
