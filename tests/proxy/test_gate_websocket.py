"""A WebSocket is closed when the key that opened it has ended: no further request would show that."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.gate import Gated, gated, rest
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.people import basic
from tests.proxy.plain import read_answer
from tests.proxy.raw import TIMEOUT, Listener, listening
from tests.proxy.upstream import self_signed

HOST = "api.openai.com"
CONNECT = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\nProxy-Authorization: "
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Listener]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    def upgrade(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += tls.recv(1)
            key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
            assert key
            # RFC 6455, 4.2.2
            accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            tls.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            rest(tls)

    with listening(upgrade) as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, confdir: Path, provider: Listener) -> Iterator[Gated]:
    with gated(lambda **how: Mitmdump(tmp_path, confdir, provider, **how)) as place:  # type: ignore[arg-type]
        yield place
        place.proxy.stop()


@pytest.mark.parametrize("inside", [True, False], ids=["in a tunnel", "asked of the proxy"])
def test_a_socket_is_closed_with_its_key(inside: bool, place: Gated) -> None:
    key = place.people.key()
    connection: socket.socket = place.dial()
    connection.settimeout(TIMEOUT)
    shown = basic("alice", key)
    if inside:
        connection.sendall(f"{CONNECT}{shown}\r\n\r\n".encode())
        assert read_answer(connection).status == 200
        connection = place.proxy.trust().wrap_socket(connection, server_hostname=HOST)
        connection.sendall(f"GET /v1/responses HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}\r\n".encode())
    else:
        head = f"GET https://{HOST}/v1/responses HTTP/1.1\r\nHost: {HOST}\r\nProxy-Authorization: {shown}\r\n"
        connection.sendall(f"{head}{UPGRADE}\r\n".encode())
    with connection:
        assert read_answer(connection).status == 101
        place.people.revoke(key)
        before = time.monotonic()
        with_goodbye = rest(connection)
    assert time.monotonic() - before < 6
    assert len(with_goodbye) < 200
