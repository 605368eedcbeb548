"""A provider on loopback that does as it is told.

It speaks TLS with HTTP/1.1 and HTTP/2, keeps connections alive and hands each request, whole, to the
handler of the test at hand, in a thread of its own. The handler drives the :class:`Reply` step by step
and may wait for events of the test in between, so nothing here depends on time.
"""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Handler", "Reply", "Request", "Upstream", "answer", "in_turn", "ragged", "self_signed"]

_VERSIONS = ["h2", "http/1.1"]
PATIENCE = 60.0
"""Seconds that a thread waits for what a test promised before it gives up."""


@dataclass(frozen=True)
class Request:
    """A request as it reached the provider; header names are in lower case, the body is as sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    http_version: str


class Reply:
    """An answer in the making. ``sent`` is every body byte given out so far."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def head(self, status: int, headers: dict[str, str], *, length: int | None = None) -> None:
        """Send the response's head; without a length the body is chunked."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Send a piece of the body, at once and on its own."""
        raise NotImplementedError

    def end(self) -> None:
        """End the response as it should be ended."""
        raise NotImplementedError

    def reset(self) -> None:
        """Break off without an end: a TCP reset, or RST_STREAM."""
        raise NotImplementedError


Handler = Callable[[Request, Reply], None]


def ragged(data: bytes, sizes: Iterable[int] = (1, 3, 17, 120, 900)) -> list[bytes]:
    """The same bytes in pieces whose borders agree with nothing."""
    pieces, start, sizes = [], 0, list(sizes)
    while start < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[start : start + size])
        start += size
    return pieces


def answer(
    body: bytes,
    content_type: str = "application/json",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    chunked: bool | None = None,
) -> Handler:
    """A handler that gives this body: in ragged chunks if it is an event stream, else in one piece with its length."""
    if chunked is None:
        chunked = content_type.startswith("text/event-stream")

    def handler(_: Request, reply: Reply) -> None:
        reply.head(status, {"content-type": content_type, **(headers or {})}, length=None if chunked else len(body))
        for piece in ragged(body) if chunked else [body]:
            reply.send(piece)
        reply.end()

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """The first handler for the first request, the second for the second, and so on."""
    turns = iter(handlers)

    def handler(request: Request, reply: Reply) -> None:
        next(turns)(request, reply)

    return handler


class Upstream:
    """The provider; ``exchanges`` is what came and what was answered, in order of arrival."""

    def __init__(self, folder: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate = self_signed(folder)
        """A PEM file, the key included."""
        self._context.load_cert_chain(self.certificate)
        self._context.set_alpn_protocols(_VERSIONS)
        self.forget()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = self._start(self._accept, self._listener)

    def forget(self) -> None:
        """Make ready for the next test."""
        self.serve(answer(b'{"error": {"type": "not_found_error", "message": "no handler"}}', status=404))
        self.exchanges: list[tuple[Request, Reply]] = []

    @property
    def shown(self) -> bytes:
        """The certificate that clients see, in DER."""
        begin = "-----BEGIN CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(begin + self.certificate.read_text().split(begin)[1])

    def serve(self, handler: Handler) -> None:
        """Give every request from now on to this handler."""
        self._handler = handler

    @contextlib.contextmanager
    def speaking(self, *versions: str) -> Iterator[None]:
        """Know only these, by their names in ALPN, for a while; on connections that are made from now on."""
        self._context.set_alpn_protocols(list(versions))
        try:
            yield
        finally:
            self._context.set_alpn_protocols(_VERSIONS)

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(PATIENCE)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections for a while."""
        self.close()
        try:
            yield
        finally:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._accepting = self._start(self._accept, self._listener)

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request; a client that went away meanwhile is nobody's fault."""
        self.exchanges.append((request, reply))
        with contextlib.suppress(OSError):
            self._handler(request, reply)

    @staticmethod
    def _start(target: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            self._start(self._connection, plain)

    def _connection(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if connection.selected_alpn_protocol() == "h2":
                _Http2(self, connection).run()
            else:
                _http1(self, connection)


def _reset(connection: socket.socket) -> None:
    """Close with a TCP RST (RFC 1122, 4.2.2.13: a zero linger time discards what is pending)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(connection.detach())


class _Http1Reply(Reply):
    def __init__(self, connection: ssl.SSLSocket) -> None:
        super().__init__()
        self._connection = connection
        self._chunked = False
        self.broken = False

    def head(self, status: int, headers: dict[str, str], *, length: int | None = None) -> None:
        self._chunked = length is None
        framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
        lines = [f"HTTP/1.1 {status} Said So", *(f"{name}: {value}" for name, value in (headers | framing).items())]
        self._connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data: bytes) -> None:
        self.sent += data
        self._connection.sendall(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        if self._chunked:
            self._connection.sendall(b"0\r\n\r\n")

    def reset(self) -> None:
        self.broken = True
        _reset(self._connection)


def _http1(upstream: Upstream, connection: ssl.SSLSocket) -> None:
    stream = connection.makefile("rb")
    while line := stream.readline():
        method, target, version = line.decode("ascii").split()
        headers = _headers(stream)
        reply = _Http1Reply(connection)
        upstream.handle(Request(method, target, headers, _body(stream, headers), version), reply)
        if reply.broken:
            return


def _headers(stream: IO[bytes]) -> dict[str, str]:
    headers = {}
    while (line := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return headers


def _body(stream: IO[bytes], headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return stream.read(int(headers.get("content-length", 0)))
    body = b""
    while size := int(stream.readline() or b"0", 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


class _Http2Reply(Reply):
    def __init__(self, connection: _Http2, stream_id: int) -> None:
        super().__init__()
        self._connection = connection
        self._stream_id = stream_id

    def head(self, status: int, headers: dict[str, str], *, length: int | None = None) -> None:
        fields = [(":status", str(status)), *headers.items()]
        if length is not None:
            fields.append(("content-length", str(length)))
        self._connection.act(lambda http: http.send_headers(self._stream_id, fields))

    def send(self, data: bytes) -> None:
        self.sent += data
        while data:
            size = self._connection.room(self._stream_id)
            piece, data = data[:size], data[size:]
            self._connection.act(lambda http, piece=piece: http.send_data(self._stream_id, piece))

    def end(self) -> None:
        self._connection.act(lambda http: http.end_stream(self._stream_id))

    def reset(self) -> None:
        self._connection.act(lambda http: http.reset_stream(self._stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR))


class _Http2:
    """One HTTP/2 connection: this thread reads, each stream answers in its own."""

    def __init__(self, upstream: Upstream, connection: ssl.SSLSocket) -> None:
        self._upstream = upstream
        self._socket = connection
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._changed = threading.Condition()

    def act(self, action: Callable[[h2.connection.H2Connection], None]) -> None:
        """Do something to the connection and send what follows from it; a stream that is gone is an ``OSError``."""
        with self._changed:
            try:
                action(self._http)
            except h2.exceptions.ProtocolError as error:
                raise ConnectionError(str(error)) from None
            self._socket.sendall(self._http.data_to_send())

    def room(self, stream_id: int) -> int:
        """How many bytes the stream may send now; waits until there is at least one."""

        def size() -> int:
            try:
                return min(self._http.local_flow_control_window(stream_id), self._http.max_outbound_frame_size)
            except h2.exceptions.ProtocolError as error:
                raise ConnectionError(str(error)) from None

        with self._changed:
            if not self._changed.wait_for(lambda: size() > 0, PATIENCE):
                raise ConnectionError("the flow control window stays shut")
            return size()

    def run(self) -> None:
        self.act(lambda http: http.initiate_connection())
        heads: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        while data := self._socket.recv(65536):
            with self._changed:
                events = self._http.receive_data(data)
                for event in events:
                    if isinstance(event, h2.events.RequestReceived):
                        heads[event.stream_id], bodies[event.stream_id] = dict(event.headers), b""
                    elif isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] += event.data
                        self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._socket.sendall(self._http.data_to_send())
                self._changed.notify_all()
            for event in events:
                if isinstance(event, h2.events.StreamEnded):
                    head = heads.pop(event.stream_id)
                    request = Request(head[":method"], head[":path"], head, bodies.pop(event.stream_id), "HTTP/2.0")
                    reply = _Http2Reply(self, event.stream_id)
                    threading.Thread(target=self._upstream.handle, args=(request, reply), daemon=True).start()


def self_signed(folder: Path) -> Path:
    """A certificate of nobody in particular, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream.invalid")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "upstream.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
