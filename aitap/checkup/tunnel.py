"""A client's first steps through a proxy, and not one more: connect, CONNECT, TLS handshake. No request is sent.

All of it has one deadline. What goes wrong is an ``OSError`` (``ssl.SSLError`` is one), or a
:class:`NoProxyError` where the answer is no proxy's.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.certs.proxy_address import ProxyAddress

__all__ = ["NoProxyError", "Tunnel", "tunnel", "unverified"]

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")
_MOST_BYTES = 65536


class NoProxyError(Exception):
    """Somebody answers, but not as a proxy does."""


class _Stream(Protocol):
    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes: ...


class _Wire:
    """A TCP connection."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def _wait(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)

    def send(self, data: bytes) -> None:
        self._wait()
        self._connection.sendall(data)

    def receive(self) -> bytes:
        self._wait()
        return self._connection.recv(65536)


class _Tls:
    """TLS over a stream, which may be TLS itself: a proxy that is spoken to by https."""

    def __init__(self, stream: _Stream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
            finally:
                self._flush()
        self.certificate = self._tls.getpeercert(binary_form=True) or b""

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._stream.send(self._outgoing.read())

    def _exchange(self) -> None:
        self._flush()
        data = self._stream.receive()
        if not data:
            raise ConnectionError("closed during the TLS handshake")
        self._incoming.write(data)

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def receive(self) -> bytes:
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._exchange()
            except ssl.SSLZeroReturnError:
                return b""

    def close(self) -> None:
        """Say that this is the end: who goes without a word has refused the certificate, for all a proxy can tell."""
        with contextlib.suppress(ssl.SSLWantReadError):  # nobody waits for the other's goodbye
            self._tls.unwrap()
        self._flush()


class Tunnel:
    """A proxy's answer to CONNECT, and the connection on which it came."""

    def __init__(self, stream: _Stream, status: int, reason: str) -> None:
        self._stream = stream
        self.status = status
        self.reason = reason

    def handshake(self, context: ssl.SSLContext, host: str) -> bytes:
        """TLS with ``host`` through the tunnel; its certificate as DER."""
        tls = _Tls(self._stream, context, host)
        with contextlib.suppress(OSError):
            tls.close()
        return tls.certificate


@contextlib.contextmanager
def tunnel(proxy: ProxyAddress, host: str, *, seconds: float, address: str | None = None) -> Iterator[Tunnel]:
    """A tunnel to ``host:443``, if the proxy grants it; ``address`` is connected to instead of the proxy's host."""
    deadline = time.monotonic() + seconds
    with socket.create_connection((address or proxy.host, proxy.port), seconds) as connection:
        stream: _Stream = _Wire(connection, deadline)
        if proxy.scheme == "https":
            stream = _Tls(stream, unverified(), proxy.host)
        head = [f"CONNECT {host}:443 HTTP/1.1", f"Host: {host}:443", "User-Agent: aitap-doctor"]
        if proxy.authorization:
            head.append(f"Proxy-Authorization: {proxy.authorization}")
        stream.send(("\r\n".join(head) + "\r\n\r\n").encode())
        yield Tunnel(stream, *_answer(stream))


def _answer(stream: _Stream) -> tuple[int, str]:
    text = b""
    while b"\r\n\r\n" not in text:
        data = stream.receive()
        if not data or len(text) > _MOST_BYTES or not (text + data).startswith(b"HTTP/1."[: len(text + data)]):
            raise NoProxyError("it does not speak HTTP" if text + data else "it closes the connection")
        text += data
    match = _STATUS.match(text)
    if match is None:
        raise NoProxyError("it does not speak HTTP")
    return int(match[1]), (match[2] or b"").decode("latin-1").strip()


def unverified() -> ssl.SSLContext:
    """A context that takes any certificate, to see which one is shown; nothing is sent on such a connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
