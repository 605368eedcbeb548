"""Bare sockets on both sides of the proxy: a server that does as it is told, and tunnels to it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.proxy.mitmdump import Mitmdump, aitap, until

__all__ = [
    "TIMEOUT",
    "Listener",
    "certificate_of",
    "everything",
    "exactly",
    "host_listed",
    "hosts_of",
    "listening",
    "open_socks",
    "open_tunnel",
    "reset",
    "trusting",
]

TIMEOUT = 60.0


class Listener:
    """A TCP server on loopback; each connection is handed to ``handler`` in a thread of its own."""

    def __init__(self, handler: Callable[[socket.socket], None]) -> None:
        self.handler = handler
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                connection.settimeout(TIMEOUT)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.handler(connection)

    def close(self) -> None:
        """Accept no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def listening(handler: Callable[[socket.socket], None]) -> Iterator[Listener]:
    """A :class:`Listener` for a while."""
    listener = Listener(handler)
    try:
        yield listener
    finally:
        listener.close()


def open_tunnel(proxy: Mitmdump, host: str, port: int = 443, **headers: str) -> socket.socket:
    """A tunnel by CONNECT; underscores in header names stand for dashes."""
    tunnel = socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT)
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    tunnel.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{fields}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = tunnel.recv(1)
        assert piece, f"the proxy closed the connection after {answer!r}"
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return tunnel


def open_socks(proxy: Mitmdump, host: str, port: int = 443) -> socket.socket:
    """A tunnel by SOCKS5 (RFC 1928): to a name, or to an IPv4 address."""
    tunnel = socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT)
    tunnel.sendall(b"\x05\x01\x00")
    assert tunnel.recv(2) == b"\x05\x00"
    try:
        place = b"\x01" + socket.inet_aton(host)
    except OSError:
        place = b"\x03" + bytes([len(host)]) + host.encode()
    tunnel.sendall(b"\x05\x01\x00" + place + struct.pack("!H", port))
    assert tunnel.recv(10)[:2] == b"\x05\x00"
    return tunnel


def everything(connection: socket.socket) -> bytes:
    """All that comes until the other side ends."""
    found = bytearray()
    while piece := connection.recv(65536):
        found += piece
    return bytes(found)


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes, fewer only where the other side ends before."""
    found = bytearray()
    while len(found) < size and (piece := connection.recv(size - len(found))):
        found += piece
    return bytes(found)


def trusting() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certificate_of(tunnel: socket.socket, name: str | None) -> bytes:
    """The certificate that whoever answers at the end of the tunnel shows, after an exchange of HTTP with it."""
    with trusting().wrap_socket(tunnel, server_hostname=name) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: " + (name or "x").encode() + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 404")
        found = connection.getpeercert(binary_form=True)
    assert found
    return found


def reset(connection: socket.socket) -> None:
    """Close with a TCP RST (RFC 1122, 4.2.2.13: a zero linger time discards what is pending)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hosts_of(proxy: Mitmdump) -> dict[tuple[str, str], dict[str, Any]]:
    """What ``aitap hosts --json`` lists, by host and mode."""
    told = aitap("hosts", "--json", "--database-url", proxy.database_url)
    assert told.returncode == 0, told.stderr
    return {(host["host"], host["mode"]): host for host in json.loads(told.stdout)}


def host_listed(proxy: Mitmdump, host: str, mode: str, **having: Any) -> dict[str, Any]:
    """The host as it is listed, once it has these values."""
    last: dict[str, Any] = {}

    def found() -> dict[str, Any] | None:
        nonlocal last
        last = hosts_of(proxy)
        row = last.get((host, mode))
        return row if row and all(row[name] == value for name, value in having.items()) else None

    try:
        return until(found, f"{host} {mode} {having}")
    except AssertionError as error:
        raise AssertionError(f"{error}; there is {json.dumps(list(last.values()), indent=1)}\n{proxy.said()}") from None
