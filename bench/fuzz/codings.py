"""Content codings that do not fit, do not end, or expand without end."""

from __future__ import annotations

import gzip
import zlib
from functools import cache
from typing import TYPE_CHECKING

import brotli
import zstandard

from bench.fuzz.mutations import damaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

__all__ = ["coded"]


def _bare(data: bytes) -> bytes:
    """RFC 1951 alone, as some servers send what they call deflate."""
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.compress,
}
_BOMBS = 0.0004
_BOMB = 600 << 20
"""Bytes, more than anybody decodes of one answer."""


def coded(dice: Random, data: bytes) -> tuple[bytes, bytes]:
    """Bytes in a content coding, and its name; now and then the two do not fit, or the end is missing."""
    if dice.random() < 0.6:
        return data, b""
    name = dice.choice(list(CODINGS))
    code, said = CODINGS[name], name.encode()
    if dice.random() < _BOMBS:
        return _bomb(name), said
    match dice.randrange(12):
        case 0:
            return data, said
        case 1:
            return code(data), dice.choice((b"", b"x-unknown", b"gzip, " + said, said.upper(), b"\xff"))
        case 2:
            return damaged(dice, code(data)), said
        case 3:
            other, again = dice.choice(list(CODINGS.items()))
            return again(code(data)), said + b", " + other.encode()
        case 4:
            return code(data) + b"trailing", said
        case 5:
            whole = code(data)
            return whole[: dice.randrange(len(whole) + 1)], said
        case 6:
            # As many members or frames as pieces (RFC 1952, 2.2; RFC 8878, 3.1).
            at = dice.randrange(len(data) + 1)
            return code(data[:at]) + code(data[at:]), said
        case 7:
            return _bare(data), b"deflate"
        case _:
            return code(data), said


@cache
def _bomb(name: str) -> bytes:
    piece = bytes(1 << 20)
    if name == "zstd":
        return zstandard.compress(piece) * (_BOMB >> 20)
    if name == "br":
        compressor = brotli.Compressor(quality=1)
        return b"".join(compressor.process(piece) for _ in range(_BOMB >> 20)) + compressor.finish()
    made = zlib.compressobj(9, wbits=31 if name == "gzip" else zlib.MAX_WBITS)
    return b"".join(made.compress(piece) for _ in range(_BOMB >> 20)) + made.flush()
