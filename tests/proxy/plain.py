"""A client that shows what a proxy itself answers: one request on a bare socket, and all that comes back."""

from __future__ import annotations

import email.parser
import socket
from typing import NamedTuple

from tests.proxy.mitmdump import Mitmdump
from tests.proxy.raw import TIMEOUT

__all__ = ["Answer", "ask", "connect_to", "dial", "read_answer"]


class Answer(NamedTuple):
    """A response: header names in lower case, and whether the proxy closed the connection after it."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool

    @property
    def text(self) -> str:
        return self.body.decode()


def dial(proxy: Mitmdump) -> socket.socket:
    """A connection to the proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT)


def ask(proxy: Mitmdump, request: bytes) -> Answer:
    """The answer to these bytes, on a connection of their own."""
    with dial(proxy) as connection:
        connection.sendall(request)
        return read_answer(connection)


def connect_to(proxy: Mitmdump, where: str) -> Answer:
    """The answer to CONNECT."""
    return ask(proxy, f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())


def read_answer(connection: socket.socket) -> Answer:
    """One response with a length, or one that has no body; then whether the connection ends."""
    stream = connection.makefile("rb")
    status = stream.readline()
    assert status, "the proxy closed the connection without an answer"
    fields = email.parser.BytesParser().parsebytes(b"".join(iter(stream.readline, b"\r\n")))
    headers = {name.lower(): value for name, value in fields.items()}
    body = stream.read(int(headers.get("content-length", 0)))
    closed = headers.get("connection") == "close" and stream.read(1) == b""
    return Answer(int(status.split()[1]), headers, body, closed)
