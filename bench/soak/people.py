"""The load generator: people who do one deed after the other, at a pace, and check every byte that comes back."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import os
import signal
import ssl
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events

from bench import websocket
from bench.corpus import Sample
from bench.soak.mixture import Deed, Mixture, is_tunnelled
from bench.soak.provider import ERROR, PAGE

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["PEOPLE", "work"]

PEOPLE = 24
_HTTP2 = 0.15
"""The share of connections that speak HTTP/2."""
_NEW = 0.15
"""The chance that somebody begins a new connection though an old one would do."""
_PATIENCE = 60.0
_KEPT = 150
"""The most connections that are open and idle."""


class Broken(Exception):  # noqa: N818 - what the deed's way says, or a finding
    """The answer did not come to its end."""


class Http1:
    """One connection; ``whole`` as long as another request may be sent on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader, self.writer, self.host = reader, writer, host
        self.whole = True

    async def ask(self, method: str, target: str, body: bytes, fields: dict[str, str]) -> None:
        """Send a request."""
        self.whole = False
        given = {"host": self.host, "content-length": str(len(body)), **fields}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self.writer.drain()

    async def answer(self, *, part: bool = False) -> tuple[int, bytes]:
        """Status and body; with ``part`` the first of it is enough. Raises :class:`Broken`."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head[:-4].split(b"\r\n")[1:])
            status = int(head.split(b" ", 2)[1])
            if part:
                return status, await self.reader.read(16)
            if fields.get(b"transfer-encoding") == b"chunked":
                body = b""
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readexactly(2)
                await self.reader.readexactly(2)
            else:
                body = await self.reader.readexactly(int(fields[b"content-length"]))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Broken(repr(error)) from None
        self.whole = fields.get(b"connection") != b"close"
        return status, body

    async def close(self) -> None:
        """Leave, politely or not as it comes."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


class Http2(Http1):
    """One connection with one stream after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        super().__init__(reader, writer, host)
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http.initiate_connection()
        self._stream = 0

    async def ask(self, method: str, target: str, body: bytes, fields: dict[str, str]) -> None:
        """See :class:`Http1`."""
        self.whole = False
        self._stream = self._http.get_next_available_stream_id()
        given = {":method": method, ":scheme": "https", ":authority": self.host, ":path": target, **fields}
        self._http.send_headers(self._stream, list(given.items()), end_stream=not body)
        while body:
            size = min(self._http.local_flow_control_window(self._stream), self._http.max_outbound_frame_size)
            if size:
                self._http.send_data(self._stream, body[:size], end_stream=size >= len(body))
                body = body[size:]
            else:
                await self._events()
        self.writer.write(self._http.data_to_send())
        await self.writer.drain()

    async def _events(self) -> list[Any]:
        self.writer.write(self._http.data_to_send())
        data = await self.reader.read(1 << 16)
        if not data:
            raise Broken("the connection ended")
        events = self._http.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.writer.write(self._http.data_to_send())
        return events

    async def answer(self, *, part: bool = False) -> tuple[int, bytes]:
        """See :class:`Http1`."""
        status, body = 0, b""
        try:
            while True:
                for event in await self._events():
                    if getattr(event, "stream_id", self._stream) != self._stream:
                        continue
                    if isinstance(event, h2.events.ResponseReceived):
                        status = int(dict(event.headers)[":status"])
                    elif isinstance(event, h2.events.DataReceived):
                        body += event.data
                    elif isinstance(event, h2.events.StreamReset):
                        raise Broken("reset")
                    elif isinstance(event, h2.events.StreamEnded):
                        self.whole = True
                        return status, body
                if part and body:
                    return status, body
        except OSError as error:
            raise Broken(repr(error)) from None


class People:
    """All of them. ``tell`` is a pipe for what went wrong and what was done."""

    def __init__(self, port: int, seed: int, exchanges: int, seconds: float) -> None:
        self._port = port
        self._mixture = Mixture(seed)
        self._left = exchanges
        self._gap = seconds / exchanges
        self._next = time.monotonic()
        self._context = {alpn: _context(alpn) for alpn in ("h2", "http/1.1")}
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []
        self.late = 0.0
        """Seconds behind the pace."""
        self._idle: OrderedDict[Http1, None] = OrderedDict()

    async def live(self) -> None:
        """One person's day."""
        while self._left > 0:
            deed = self._mixture.next()
            self._left -= deed.turns
            self._next += self._gap * deed.turns
            self.late = max(0.0, time.monotonic() - self._next)
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._do(deed)
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody suffered
                self.problems.append(f"{deed.way.name} {deed.host} {deed.sample.path}: {error!r}")
            else:
                self.done["deeds"] += 1
                self.done[deed.way.outcome or "not recorded"] += deed.recorded or (not deed.way.outcome)
                self.done["recorded"] += deed.recorded

    async def leave(self) -> None:
        """Close what is open."""
        for connection in self._idle:
            await connection.close()

    async def _connection(self, host: str) -> Http1:
        """One that is open already, or another."""
        found = next((one for one in reversed(self._idle) if one.host == host), None)
        if found is None:
            return await self._connect(host)
        del self._idle[found]
        if self._mixture.dice.random() >= _NEW:
            return found
        await found.close()
        return await self._connect(host)

    async def _put_back(self, connection: Http1) -> None:
        if not connection.whole:
            await connection.close()
            return
        self._idle[connection] = None
        if len(self._idle) > _KEPT:
            await self._idle.popitem(last=False)[0].close()

    async def _do(self, deed: Deed) -> None:
        way = deed.way.name
        if way == "socket":
            await self._socket(deed)
            return
        connection = await self._connection(deed.host)
        sample = deed.sample
        assert isinstance(sample, Sample)
        fields = {"x-soak": f"{way}:{deed.index}", "content-type": "application/json", "user-agent": "soak/1"}
        fields["authorization"] = f"Bearer sk-{way}-{'x' * 40}"
        target = sample.path + (f"?{sample.query}" if sample.query else "")
        try:
            if way == "other":
                await connection.ask("GET", "/v1/models", b"", fields)
            else:
                await connection.ask("POST", target, deed.body, fields)
            await self._judge(deed, sample, connection)
        finally:
            await self._put_back(connection)

    async def _judge(self, deed: Deed, sample: Sample, connection: Http1) -> None:
        way = deed.way.name
        if way == "stalled":
            await asyncio.sleep(0.3)
        elif way == "left":
            await connection.answer(part=True)
        elif way == "silence" and not is_tunnelled(deed.host):
            status, _ = await connection.answer()
            assert status == 502, status
        elif way in ("broken", "silence"):
            with contextlib.suppress(Broken):
                await connection.answer()
                raise AssertionError("a whole answer where the provider gave none")
        else:
            expected = {"overloaded": (529, ERROR), "page": (502, PAGE), "other": (200, b'{"data":[]}')}.get(way)
            status, body = await connection.answer()
            if way == "gzip":
                body = gzip.decompress(body)
            assert (status, body) == (expected or (200, b"".join(sample.pieces))), f"{status}, {len(body)} bytes"

    async def _connect(self, host: str, alpn: str = "") -> Http1:
        if not alpn:
            alpn = "h2" if self._mixture.dice.random() < _HTTP2 and not is_tunnelled(host) else "http/1.1"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        answered = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in answered, answered
        await writer.start_tls(self._context[alpn], server_hostname=host)
        spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        return (Http2 if spoken == "h2" else Http1)(reader, writer, host)

    async def _socket(self, deed: Deed) -> None:
        sample = deed.sample
        connection = await self._connect(deed.host, "http/1.1")
        reader, writer = connection.reader, connection.writer
        key = base64.b64encode(os.urandom(16))
        target = sample.path + (f"?{sample.query}" if sample.query else "")
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        own = f"Sec-WebSocket-Key: {key.decode()}\r\nx-soak: socket:{deed.index}\r\n"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {deed.host}\r\n{upgrade}{own}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert websocket.accept(key) in head, head
        data = b""
        for turn in range(deed.turns):
            body = deed.body.replace(b"a.txt?", b"a.txt? %d" % turn)
            writer.write(websocket.text(body, os.urandom(4)))
            for expected in sample.answers:  # type: ignore[union-attr]
                while (frame := websocket.frame_at(data)) is None:
                    more = await reader.read(1 << 16)
                    assert more, "the socket ended"
                    data += more
                data = data[frame.end :]
                assert frame.payload == expected, f"{len(frame.payload)} bytes"
        await connection.close()


def _context(alpn: str) -> ssl.SSLContext:
    # What is tunnelled shows the provider's own certificate: which one is seen is not what is asked here.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    return context


def work(tell: Connection, port: int, seed: int, exchanges: int, seconds: float) -> None:
    """Do so many exchanges in so many seconds, or as long as it takes; then tell what was done, and what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    people = People(port, seed, exchanges, seconds)

    async def report() -> None:
        while True:
            await asyncio.sleep(1)
            tell.send((dict(people.done), len(people.problems), people.late))

    async def main() -> None:
        telling = asyncio.create_task(report())
        await asyncio.gather(*(people.live() for _ in range(PEOPLE)))
        telling.cancel()
        await people.leave()

    asyncio.run(main())
    tell.send((dict(people.done), people.problems, people.late))
