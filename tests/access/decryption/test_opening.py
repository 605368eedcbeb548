"""What the first bytes of a client are taken for."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.decryption.opening import Opening, opening


def client_hello(name: str | None) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = client_hello("API.OpenAI.com")


def in_records(hello: bytes, size: int) -> bytes:
    """The same handshake message in records of this size."""
    message = hello[5:]
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(hello[:3] + len(piece).to_bytes(2) + piece for piece in pieces)


def test_a_client_hello_names_whom_it_wants_in_lower_case() -> None:
    assert opening(HELLO) == Opening("tls", "api.openai.com")


def test_a_client_hello_may_name_nobody() -> None:
    assert opening(client_hello(None)) == Opening("tls", "")


def test_no_part_of_a_client_hello_is_taken_for_anything_else() -> None:
    assert {opening(HELLO[:size]) for size in range(1, len(HELLO))} == {None}


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_client_hello_may_come_in_many_records(size: int) -> None:
    assert opening(in_records(HELLO, size)) == Opening("tls", "api.openai.com")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "other"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "other"),
        (b"\x00\x01\x02", "other"),
        (b"\x16\x02\x00", "other"),
        (b"\x16\x03\x01\x00\x05hello", "other"),
        (b"\x16\x03\x01\x00\x00", "other"),
        (b"GET / HTTP/1.1\r\n", "http"),
        (b"patch ", "http"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http"),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ ", "other"),
    ],
)
def test_what_else_there_is(data: bytes, kind: str) -> None:
    found = opening(data)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03", b"G", b"GET", b"\x16\x03\x01\x40\x00\x01\x00\x40"])
def test_too_little_is_waited_for(data: bytes) -> None:
    assert opening(data) is None


def test_nobody_is_waited_for_endlessly() -> None:
    endless = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(0x4000 - 4)
    records = endless + (b"\x16\x03\x01\x40\x00" + bytes(0x4000)) * 4
    assert opening(records[:60_000]) is None
    assert opening(records) == Opening("other")


@given(st.binary(max_size=300))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    for start in (data, b"\x16\x03\x01" + data, HELLO[:60] + data):
        found = opening(start)
        assert found is None or found.kind in ("tls", "http", "other")
