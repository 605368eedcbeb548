"""The PROXY protocol's header, in both versions."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.proxy_protocol.header import Ends, HeaderError, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
REST = b"CONNECT api.anthropic.com:443 HTTP/1.1\r\n"


def taken(data: bytes) -> tuple[Ends | None, bytes]:
    """The header, and what is left after it."""

    async def take() -> tuple[Ends | None, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_header(reader), await reader.read()

    return asyncio.run(take())


def binary(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2) + body


def test_the_line_of_version_1_names_both_ends_and_what_follows_is_left() -> None:
    ends = Ends(("203.0.113.9", 51234), ("10.0.0.1", 8080))
    assert taken(b"PROXY TCP4 203.0.113.9 10.0.0.1 51234 8080\r\n" + REST) == (ends, REST)
    ends = Ends(("2001:db8::9", 1), ("2001:db8::1", 65535))
    assert taken(b"PROXY TCP6 2001:db8::9 2001:db8::1 1 65535\r\n" + REST) == (ends, REST)


@pytest.mark.parametrize("size", [4, 16])
def test_the_header_of_version_2_names_both_ends_whatever_it_has_beside_them(size: int) -> None:
    client, server = bytes(range(1, size + 1)), bytes(range(101, 101 + size))
    body = client + server + (51234).to_bytes(2) + (8080).to_bytes(2) + b"\x04\x00\x03abc"
    ends = Ends((str(ipaddress.ip_address(client)), 51234), (str(ipaddress.ip_address(server)), 8080))
    assert taken(binary(0x21, 0x11 if size == 4 else 0x21, body) + REST) == (ends, REST)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        binary(0x20, 0, b""),
        binary(0x21, 0x31, b"x" * 216),
    ],
)
def test_one_that_names_nobody_is_taken_off_all_the_same(header: bytes) -> None:
    assert taken(header + REST) == (None, REST)


@pytest.mark.parametrize(
    "data",
    [
        REST,
        b"\x16\x03\x01\x02\x00",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 51234\r\n",
        b"PROXY TCP4 2001:db8::9 10.0.0.1 51234 8080\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 051 8080\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 70000 8080\r\n",
        b"PROXY TCP4 \xff 10.0.0.1 1 8080\r\n",
        b"PROXY " + b"x" * 200,
        binary(0x31, 0x11, b"x" * 12),
        binary(0x22, 0x11, b"x" * 12),
        binary(0x21, 0x11, b"x" * 11),
        b"\r\n\r\nGET / HTTP/1.1\r\n",
    ],
)
def test_what_is_none_is_told_apart(data: bytes) -> None:
    with pytest.raises(HeaderError):
        taken(data)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda rest: b"PROXY TCP4 " + rest)))
def test_whatever_comes_no_other_error_does(data: bytes) -> None:
    try:
        taken(data)
    except (HeaderError, asyncio.IncompleteReadError):
        return
