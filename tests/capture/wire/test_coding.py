"""Content codings."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from aitap.capture.wire.coding import CodingError, decode_all, decoder_for
from tests.capture.making import cut, cuts


def bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "gzip of two members": ("gzip", lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:])),
    "gzip and padding": ("gzip", lambda data: gzip.compress(data) + b"\0" * 20),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "br": ("br", lambda data: brotli.compress(data, quality=3)),
    "zstd": ("zstd", zstandard.compress),
    "zstd of two frames": ("zstd", lambda data: zstandard.compress(data[:10]) + zstandard.compress(data[10:])),
    "gzip, then br": ("gzip, br", lambda data: brotli.compress(gzip.compress(data), quality=3)),
    "zstd, identity, gzip": ("zstd,identity , gzip", lambda data: gzip.compress(zstandard.compress(data))),
}

BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 9),
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.compress,
}


def decode(pieces: list[bytes], coding: str) -> bytes:
    decoder = decoder_for(coding)
    assert decoder is not None
    return b"".join(part for piece in pieces for part in decoder.feed(piece))


@pytest.mark.parametrize("name", CODERS)
@given(data=st.data(), body=st.binary(max_size=300).map(lambda text: text * 3))
def test_any_split_of_a_coded_body_decodes_to_the_body(name: str, data: st.DataObject, body: bytes) -> None:
    coding, coder = CODERS[name]
    coded = coder(body)
    assert decode(cut(coded, data.draw(cuts(len(coded)))), coding) == body
    assert decode_all(coded, coding) == body


@pytest.mark.parametrize("name", CODERS)
def test_a_cut_body_gives_what_was_there(name: str) -> None:
    coding, coder = CODERS[name]
    body = bytes(range(256)) * 400
    coded = coder(body)
    assert body.startswith(decode([coded[: len(coded) // 2]], coding))


@pytest.mark.parametrize("extra", [0, 1, 5, 100, 195, 258, 1000])
def test_nothing_is_lost_where_a_piece_is_full(extra: int) -> None:
    """zlib may stop in the middle of a match with all input taken: the rest comes without any."""
    body = bytes((1 << 20) + extra)
    assert decode_all(bare_deflate(body), "deflate") == body


@pytest.mark.parametrize("coding", ["", "identity", " Identity , identity"])
def test_nothing_to_undo_is_no_decoder(coding: str) -> None:
    assert decoder_for(coding) is None
    assert decode_all(b"as it is", coding) == b"as it is"


@pytest.mark.parametrize("coding", ["lzma", "gzip, compress", "gzip;q=1", ", ".join(["gzip"] * 2000)])
def test_a_coding_nobody_uses_is_an_error(coding: str) -> None:
    with pytest.raises(CodingError):
        decoder_for(coding)


@given(st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate"]), st.binary(), st.binary())
@example("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x07", b"\xff" * 40)
@example("deflate", b"\x78", b"\x9c\xff\xff")
def test_bytes_that_are_no_such_coding_raise_nothing_else(coding: str, first: bytes, second: bytes) -> None:
    try:
        decoded = decode([first, second], coding)
    except CodingError:
        decoded = b""
    assert isinstance(decoded, bytes)


@pytest.mark.parametrize("coding", BOMBS)
def test_a_small_body_that_expands_without_end_is_an_error(coding: str) -> None:
    bomb = BOMBS[coding](bytes(32 << 20))
    assert len(bomb) < 64 << 10
    with pytest.raises(CodingError, match="past the limit"):
        decode_all(bomb, coding, limit=8 << 20)


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_decoded_in_pieces_of_bounded_size(coding: str) -> None:
    bomb = BOMBS[coding](bytes(96 << 20))
    decoder = decoder_for(coding, limit=8 << 20)
    assert decoder is not None
    tracemalloc.start()
    try:
        with pytest.raises(CodingError):
            for _ in decoder.feed(bomb):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 72 << 20


def test_the_bound_holds_for_each_coding_of_a_chain() -> None:
    """The outer coding is what expands; the inner one makes nothing of it."""
    bomb = gzip.compress(gzip.compress(b"x") + bytes(32 << 20))
    with pytest.raises(CodingError, match="past the limit"):
        decode_all(bomb, "gzip, gzip", limit=8 << 20)
