"""The providers' stand-in: an HTTPS server in a process of its own that answers as the header ``x-soak`` says."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import signal
import ssl
from typing import TYPE_CHECKING

from bench import websocket
from bench.corpus import SAMPLES, SOCKETS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

__all__ = ["ERROR", "PAGE", "serve"]

ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
PAGE = b"<html><body>Bad gateway</body></html>"
_PACE = 0.02


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while await _one(reader, writer):
            await writer.drain()
    writer.transport.abort()


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """One exchange; whether the connection can be used again."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head[:-4].split(b"\r\n")[1:])
    way, _, number = fields[b"x-soak"].decode().partition(":")
    if way == "socket":
        await _socket(reader, writer, head, int(number))
        return False
    await reader.readexactly(int(fields.get(b"content-length", 0)))
    sample = SAMPLES[int(number)]
    if way == "silence":
        return False
    if way == "stalled":
        await reader.read(1)  # until the client has had enough
        return False
    if way in ("overloaded", "page", "other"):
        status, kind, body = {
            "overloaded": (529, "application/json", ERROR),
            "page": (502, "text/html", PAGE),
            "other": (200, "application/json", b'{"data":[]}'),
        }[way]
        writer.write(_head(status, kind, len(body)) + body)
        return True
    coding = "gzip" if way == "gzip" else ""
    if not sample.streamed:
        body = gzip.compress(sample.pieces[0], 1) if coding else sample.pieces[0]
        writer.write(_head(200, sample.content_type, len(body), coding) + body)
        return True
    writer.write(_head(200, sample.content_type, None, coding))
    pieces = (gzip.compress(b"".join(sample.pieces), 1),) if coding else sample.pieces
    for place, piece in enumerate(pieces):
        if way == "broken" and place == len(pieces) // 2:
            await writer.drain()
            await asyncio.sleep(_PACE)
            return False
        if way == "left" and place == len(pieces) // 2:
            await reader.read(1)
            return False
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if way in ("paced", "left", "broken"):
            await writer.drain()
            await asyncio.sleep(_PACE)
    writer.write(b"0\r\n\r\n")
    return True


def _head(status: int, kind: str, length: int | None, coding: str = "") -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    coded = f"content-encoding: {coding}\r\n" if coding else ""
    return f"HTTP/1.1 {status} So\r\ncontent-type: {kind}\r\n{coded}{framing}\r\n\r\n".encode()


async def _socket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, number: int) -> None:
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: "))
    accept = websocket.accept(key.split(b": ", 1)[1])
    switch = b"HTTP/1.1 101 Switching\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    writer.write(b"%bsec-websocket-accept: %b\r\n\r\n" % (switch, accept))
    data = b""
    while more := await reader.read(1 << 16):
        data += more
        while frame := websocket.frame_at(data):
            data = data[frame.end :]
            if frame.opcode == websocket.CLOSE:
                return
            for answer in SOCKETS[number].answers:
                writer.write(websocket.text(answer))
            await writer.drain()


def serve(ready: Connection, certificate: Path) -> None:
    """Serve until the other end of ``ready`` closes; the port is sent there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])

    async def main() -> None:
        server = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=context, backlog=512, limit=1 << 22)
        ready.send(server.sockets[0].getsockname()[1])
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(ready.fileno(), gone.set)
        await gone.wait()
        server.close()

    asyncio.run(main())
