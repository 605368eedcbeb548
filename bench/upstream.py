"""The provider's stand-in: an HTTPS server in its own process that answers with prebuilt bytes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import time
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from bench import machine, websocket
from bench.answers import ACCEPT, COUNTER, STAMP
from bench.cases import CASES

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from bench.answers import Answer

__all__ = ["CONNECTIONS", "GATE", "REQUESTS", "serve"]

# Places in the memory shared with the other processes: what was seen so far, and whether gated answers may go on.
CONNECTIONS, REQUESTS, GATE = range(3)

_counter = count(1)


class Exchange(asyncio.Protocol):
    """One connection: reads a request to its end, then sends the answer that its ``x-bench-case`` names.

    A request that asks for a WebSocket turns the connection into one; then each message is a request.
    """

    transport: asyncio.Transport

    def __init__(self, totals: Any) -> None:
        self.totals = totals
        self.head = bytearray()
        self.missing = -1
        self.case = ""
        self.upgraded = False
        self.later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.totals[CONNECTIONS] += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Send nothing more."""
        if self.later:
            self.later.cancel()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; its body is counted, not kept."""
        if self.upgraded:
            self.message(data)
            return
        if self.missing >= 0:
            self.missing -= len(data)
        else:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = (line.split(b": ", 1) for line in bytes(self.head[:end]).split(b"\r\n")[1:])
            fields = {name.lower(): value for name, value in lines}
            self.case = fields[b"x-bench-case"].decode()
            if b"upgrade" in fields:
                self.head.clear()
                self.upgraded = True
                accept = websocket.accept(fields[b"sec-websocket-key"])
                self.transport.write(CASES[self.case].answer.head.replace(ACCEPT, accept))
                return
            self.missing = int(fields[b"content-length"]) - (len(self.head) - end - 4)
        if self.missing == 0:
            self.head.clear()
            self.missing = -1
            self.totals[REQUESTS] += 1
            self.answer(CASES[self.case].answer)
        elif self.missing < 0:
            # A keep-alive client of ours never sends ahead: this would be the proxy changing a request.
            self.transport.abort()

    def message(self, data: bytes) -> None:
        """Take a part of a message of a WebSocket."""
        self.head += data
        frame = websocket.frame_at(bytes(self.head))
        if frame is None:
            return
        if frame.opcode == websocket.CLOSE:
            self.transport.close()
        elif frame.end == len(self.head) and frame.final and frame.payload.startswith(b'{"type":"response.create"'):
            self.head.clear()
            self.totals[REQUESTS] += 1
            self.answer(CASES[self.case].answer)
        else:
            # The proxy has split a message, or changed it, or sent ahead.
            self.transport.abort()

    def answer(self, answer: Answer) -> None:
        """Send an answer, each event in a TLS record of its own."""
        number = b"%010d" % next(_counter)
        head = b"" if self.upgraded else answer.head.replace(COUNTER, number)
        if not answer.pace:
            frames = answer.burst(number)
            self.transport.writelines([head, *frames] if head else frames)
            return
        self.transport.write(head)
        loop = asyncio.get_running_loop()

        def send(index: int, start: float) -> None:
            stamp = b"%019d" % time.monotonic_ns()
            self.transport.write(answer.frames[index].replace(COUNTER, number).replace(STAMP, stamp))
            if answer.gated and index == 0:
                wait()
            elif index + 1 < len(answer.frames):
                # From the start, so that lateness does not add up.
                self.later = loop.call_at(start + (index + 1) * answer.pace, send, index + 1, start)

        def wait() -> None:
            if self.totals[GATE]:
                # Spread over one pace, as streams that nobody had held back would be.
                start = loop.time() + int(number) % 100 / 100 * answer.pace - answer.pace
                self.later = loop.call_at(start + answer.pace, send, 1, start)
            else:
                self.later = loop.call_later(0.1, wait)

        send(0, loop.time())


def serve(ready: Connection, certificate: Path, totals: Any, cores: set[int] | None) -> None:
    """Serve until the other end of ``ready`` closes; the port is sent there.

    ``totals`` is shared memory; :data:`CONNECTIONS`, :data:`REQUESTS` and :data:`GATE` are its places.
    """
    machine.pin(0, cores)
    for case in CASES.values():
        _ = case.answer.head, case.answer.frames
    gc.freeze()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Exchange(totals), "127.0.0.1", 0, ssl=context, backlog=2048)
        ready.send(server.sockets[0].getsockname()[1])
        gone = asyncio.Event()
        loop.add_reader(ready.fileno(), gone.set)
        await gone.wait()
        server.close()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
