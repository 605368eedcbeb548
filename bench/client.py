"""One connection of a client through the proxy: CONNECT, TLS, then one exchange after the other.

Either HTTP with keep-alive, or a WebSocket.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from typing import TYPE_CHECKING

from bench import websocket
from bench.cases import KEY

if TYPE_CHECKING:
    import ssl
    from typing import Self

    from bench.answers import Answer

__all__ = ["Client", "Direct", "Exchange", "ExchangeError", "Socket"]


class ExchangeError(Exception):
    """The proxy or the upstream did not answer as they should."""


class Exchange:
    """What came back for one request, and when. Times are monotonic nanoseconds."""

    __slots__ = ("body", "ends", "marks", "sent")

    def __init__(self) -> None:
        self.sent = time.monotonic_ns()
        self.body = bytearray()
        self.marks: list[tuple[int, int]] = []
        """(arrival, length of the body by then) of each read."""
        self.ends: list[int] = []
        """The length of the body after each message of a WebSocket."""

    def arrivals(self, answer: Answer) -> list[int]:
        """When each event of the answer was complete."""
        times = []
        marks = iter(self.marks)
        arrival, length = next(marks)
        for end in answer.ends:
            while length < end:
                arrival, length = next(marks)
            times.append(arrival)
        return times

    def first(self, answer: Answer) -> float:
        """Milliseconds from the request's first byte to the end of the answer's first event."""
        arrival = next(arrival for arrival, length in self.marks if length >= answer.ends[0])
        return (arrival - self.sent) / 1e6


class Client(asyncio.Protocol):
    """The connection. One exchange at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""
        self.left = 0
        self.chunked = False
        self.in_body = False
        self.exchange: Exchange | None = None
        self.done: asyncio.Future[None] | None = None

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext, host: str) -> Self:
        """A connection to the provider at ``host`` through the proxy on ``port``, ready for requests."""
        loop = asyncio.get_running_loop()
        transport, self = await loop.create_connection(cls, "127.0.0.1", port)
        self.transport = transport
        self.done = loop.create_future()
        self.transport.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        await self.done
        secured = await loop.start_tls(self.transport, self, context, server_hostname=host)
        if secured is None:
            raise ExchangeError("the connection closed in the TLS handshake")
        self.transport = secured
        return self

    async def send(self, request: list[bytes] | tuple[bytes, ...]) -> Exchange:
        """Send a request, return its whole answer. Raises :class:`ExchangeError`."""
        self.exchange = exchange = Exchange()
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(b"".join(request))
        await self.done
        return exchange

    def close(self) -> None:
        """Drop the connection."""
        self.done = None
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """An exchange under way fails with it."""
        if self.done and not self.done.done():
            self.done.set_exception(ExchangeError(f"connection lost: {exc or 'closed by the proxy'}"))

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        now = time.monotonic_ns()
        self.buffer += data
        exchange = self.exchange
        if not self.in_body and not self._head():
            return
        if exchange is None:
            return
        length = len(exchange.body)
        ended = self._chunks(exchange.body) if self.chunked else self._plain(exchange.body)
        if len(exchange.body) > length:
            exchange.marks.append((now, len(exchange.body)))
        if ended:
            self.in_body = False
            self._finish()

    def _finish(self) -> None:
        if self.done and not self.done.done():
            if self.buffer:
                self.done.set_exception(ExchangeError("bytes after the end of an answer"))
            else:
                self.done.set_result(None)

    def _head(self) -> bool:
        """Read the status line and headers; False when they are incomplete or there is nothing after them."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self.buffer[:end].lower().split(b"\r\n")
        self.buffer = self.buffer[end + 4 :]
        if b" 200 " not in lines[0] + b" ":
            if self.done and not self.done.done():
                self.done.set_exception(ExchangeError(f"the answer was {lines[0].decode('latin-1')!r}"))
            return False
        if self.exchange is None:  # the answer to CONNECT
            self._finish()
            return False
        fields = dict(line.split(b": ", 1) for line in lines[1:])
        self.chunked = fields.get(b"transfer-encoding") == b"chunked"
        self.left = 0 if self.chunked else int(fields[b"content-length"])
        self.in_body = True
        return True

    def _plain(self, body: bytearray) -> bool:
        body += self.buffer
        self.left -= len(self.buffer)
        self.buffer = b""
        return self.left == 0

    def _chunks(self, body: bytearray) -> bool:
        """Decode what is there of chunked coding; True at its end."""
        buffer = self.buffer
        at = 0
        while True:
            line = buffer.find(b"\r\n", at)
            if line < 0:
                break
            size = int(buffer[at:line], 16)
            end = line + 2 + size + 2
            if end > len(buffer):
                break
            if size == 0:
                self.buffer = buffer[end:]
                return True
            body += buffer[line + 2 : end - 2]
            at = end
        self.buffer = buffer[at:]
        return False


class Direct(Client):
    """A connection to a gateway that is no proxy: plain HTTP with keep-alive, whatever the provider."""

    @classmethod
    async def connect(cls, port: int, _context: ssl.SSLContext, _host: str) -> Self:
        """A connection to the gateway on ``port``, ready for requests."""
        transport, self = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        self.transport = transport
        return self


class Socket(Client):
    """A WebSocket that asks for one response after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.expected = b""
        """The ``Sec-WebSocket-Accept`` that the server has to give, once it was asked for."""
        self.upgraded = False

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext, host: str, opening: bytes) -> Self:
        """A WebSocket; ``opening`` is the head of its handshake, without a key. Raises :class:`ExchangeError`."""
        self = await cls.connect(port, context, host)
        key = base64.b64encode(os.urandom(16))
        self.expected = websocket.accept(key)
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(opening.replace(KEY, key))
        await self.done
        return self

    async def send(self, request: list[bytes] | tuple[bytes, ...]) -> Exchange:
        """Send a request as one message, return all messages up to the one that completes the response."""
        return await super().send([websocket.text(b"".join(request), os.urandom(4))])

    def data_received(self, data: bytes) -> None:
        """Take a part of the handshake or of an answer."""
        if not self.expected:  # the answer to CONNECT
            super().data_received(data)
            return
        now = time.monotonic_ns()
        self.buffer += data
        if not self.upgraded:
            self._upgrade()
        elif self.exchange is not None:
            body = self.exchange.body
            length = len(body)
            ended = self._messages(self.exchange)
            if len(body) > length:
                self.exchange.marks.append((now, len(body)))
            if ended:
                self._finish()

    def _upgrade(self) -> None:
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.split(b"\r\n")
        fields = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines[1:])}
        if lines[0].split()[1] != b"101" or fields.get(b"sec-websocket-accept") != self.expected:
            self._fail(f"the handshake was answered {lines[0].decode('latin-1')!r}")
            return
        self.buffer = rest
        self.upgraded = True
        self._finish()

    def _messages(self, exchange: Exchange) -> bool:
        """Read what is there of messages; True at the end of the response."""
        at = 0
        ended = False
        while not ended and (frame := websocket.frame_at(self.buffer, at)):
            if frame.opcode not in (websocket.TEXT, websocket.CONTINUATION):
                self._fail(f"a WebSocket frame of type {frame.opcode} came")
                return False
            exchange.body += frame.payload
            at = frame.end
            if frame.final:
                begin = exchange.ends[-1] if exchange.ends else 0
                exchange.ends.append(len(exchange.body))
                ended = exchange.body.startswith(b'{"type":"response.completed"', begin)
        self.buffer = self.buffer[at:]
        return ended

    def _fail(self, what: str) -> None:
        if self.done and not self.done.done():
            self.done.set_exception(ExchangeError(what))
