"""mitmproxy's log does not quote clients."""

from __future__ import annotations

import logging

import pytest

from aitap.access.gate.quiet_log import Unquoted


@pytest.mark.parametrize(
    "message",
    [
        "Client closed connection before completing request headers: b'GET /\\r\\nProxy-Authorization: SECRET'",
        "Client closed connection before completing SOCKS5 handshake: b'\\x01\\x05alice\\x06SECRET'",
        "127.0.0.1:1: Bad HTTP request line: b'GET http://user:SECRET@host/'",
        "127.0.0.1:1: Invalid header line: b'Proxy-Authorization SECRET'\nSECRET",
        "Unsupported SOCKS5 request: b'SECRET'",
    ],
)
def test_the_quotation_goes_and_the_line_stays(message: str) -> None:
    record = logging.LogRecord("name", logging.INFO, "file", 1, message, None, None)
    assert Unquoted().filter(record)
    assert "SECRET" not in record.getMessage()
    assert record.getMessage().endswith(": ...")


def test_other_lines_stay_as_they_are() -> None:
    record = logging.LogRecord("name", logging.INFO, "file", 1, "client connect: %s", ("SECRET: yes",), None)
    Unquoted().filter(record)
    assert record.getMessage() == "client connect: SECRET: yes"
