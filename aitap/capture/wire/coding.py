"""Content codings (RFC 9110, 8.4), undone incrementally.

A decoder takes the bytes of a body as they come and gives what they decode to, in pieces of bounded
size, so that a small body that expands a thousandfold neither fills memory nor goes on for ever:
above ``limit`` decoded bytes it raises. ``Content-Encoding`` may name several codings, applied in
that order; they are undone from the last to the first.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Protocol

import brotli
import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CodingError", "ContentDecoder", "decode_all", "decoder_for"]

_LIMIT = 512 * 1024 * 1024
_PIECE = 1024 * 1024
_MAX_STAGES = 8


class CodingError(ValueError):
    """The body is not what its ``Content-Encoding`` says, names a coding nobody knows, or expands past the limit."""


class ContentDecoder(Protocol):
    """Feed coded bytes, get decoded ones."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes decode to, in pieces. Raises :class:`CodingError`."""
        ...


class _Zlib:
    """gzip (RFC 1952, any number of members) and deflate (RFC 1950, or bare RFC 1951 as some servers send it).

    What follows the last member and is no member is padding, and ignored, as every HTTP client does.
    """

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._head: bytes | None = b"" if wbits == zlib.MAX_WBITS else None
        self._between = False
        self._over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._head is not None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return
            self._head = None
            if not _has_zlib_header(data):
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        piece = b""
        # A piece of full size may leave some of its match inside the decompressor, with no input left.
        while (data or len(piece) == _PIECE) and not self._over:
            if self._between and data:
                self._between = False
                if data[0] != 0x1F or self._wbits != 16 + zlib.MAX_WBITS:
                    self._over = True
                    return
                self._inflate = zlib.decompressobj(self._wbits)
            try:
                piece = self._inflate.decompress(data, _PIECE)
            except zlib.error as error:
                raise CodingError(str(error)) from None
            if piece:
                yield piece
            self._between = self._inflate.eof
            data = self._inflate.unused_data if self._between else self._inflate.unconsumed_tail


def _has_zlib_header(data: bytes) -> bool:
    """RFC 1950, 2.2: method 8, a window of at most 32 KiB, and a check sum over both bytes."""
    return data[0] & 0x0F == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0


class _Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            if hasattr(self._decompressor, "can_accept_more_data"):
                piece = self._decompressor.process(data, output_buffer_limit=_PIECE)
                while piece:
                    yield piece
                    piece = self._decompressor.process(b"", output_buffer_limit=_PIECE)
                return
            # Before 1.2 only the input can be bounded. Some 26 bytes are enough for 16 MiB.
            for start in range(0, len(data), 256):
                yield self._decompressor.process(data[start : start + 256])
        except brotli.error as error:
            raise CodingError(str(error) or "not brotli") from None


class _Zstandard:
    """zstd (RFC 8878), any number of frames."""

    def __init__(self) -> None:
        self._frames = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._frame: Any = self._frames.decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            # Four bytes are enough for a block of 128 KiB, and only the input can be bounded.
            for start in range(0, len(data), 1024):
                rest = data[start : start + 1024]
                while rest:
                    if piece := self._frame.decompress(rest):
                        yield piece
                    rest = b""
                    if self._frame.eof:
                        rest = self._frame.unused_data
                        self._frame = self._frames.decompressobj()
        except zstandard.ZstdError as error:
            raise CodingError(str(error)) from None


class _Chain:
    """Several codings one after the other, with one bound on what comes out of each."""

    def __init__(self, stages: list[ContentDecoder], limit: int) -> None:
        self._stages = stages
        self._left = limit

    def feed(self, data: bytes) -> Iterator[bytes]:
        pieces: Iterator[bytes] = iter((data,))
        for stage in self._stages:
            pieces = self._through(stage, pieces)
        return pieces

    def _through(self, stage: ContentDecoder, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            for decoded in stage.feed(piece):
                if not decoded:
                    continue
                self._left -= len(decoded)
                if self._left < 0:
                    raise CodingError("the body expands past the limit")
                yield decoded


def decoder_for(content_encoding: str, *, limit: int = _LIMIT) -> ContentDecoder | None:
    """A decoder for this header value; None where there is nothing to undo.

    Raises :class:`CodingError` for a coding nobody knows and for more of them than anybody uses.
    """
    stages: list[ContentDecoder] = []
    for name in reversed([part.strip().lower() for part in content_encoding.split(",")]):
        match name:
            case "" | "identity":
                continue
            case "gzip" | "x-gzip":
                stages.append(_Zlib(16 + zlib.MAX_WBITS))
            case "deflate":
                stages.append(_Zlib(zlib.MAX_WBITS))
            case "br":
                stages.append(_Brotli())
            case "zstd":
                stages.append(_Zstandard())
            case _:
                raise CodingError(f"unknown content coding {name[:40]!r}")
    if len(stages) > _MAX_STAGES:
        raise CodingError("more content codings than any server applies")
    return _Chain(stages, limit) if stages else None


def decode_all(body: bytes, content_encoding: str, *, limit: int = _LIMIT) -> bytes:
    """A whole body with its codings undone. Raises :class:`CodingError`."""
    decoder = decoder_for(content_encoding, limit=limit)
    return body if decoder is None else b"".join(decoder.feed(body))
