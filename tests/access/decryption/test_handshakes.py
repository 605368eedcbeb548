"""Which ends of a handshake are a client's word about our certificate, told by real handshakes in memory."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from aitap.access.decryption.handshakes import Handshakes, refusal
from tests.proxy.upstream import self_signed


@dataclass(eq=False)
class Client:
    error: str = ""


@dataclass
class Context:
    client: Client


@dataclass
class Data:
    """What mitmproxy gives to the hooks of TLS, as far as it is looked at."""

    client: Client
    ssl_conn: Any
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        self.context = Context(self.client)

    @property
    def conn(self) -> Client:
        return self.client


class Watched:
    def __init__(self) -> None:
        self.refused: list[str] = []
        self.handshakes: Any = Handshakes(lambda client, context, said: self.refused.append(said))


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def server(tmp_path: Path) -> SSL.Connection:
    path = str(self_signed(tmp_path))
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_file(path)
    context.use_privatekey_file(path)
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


class TlsClient:
    """A client in memory that trusts anybody."""

    def __init__(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="api.example.com")

    def shake(self, server: SSL.Connection) -> None:
        for _ in range(5):
            for side in (self.tls, server):
                with contextlib.suppress(ssl.SSLWantReadError, SSL.WantReadError):
                    side.do_handshake()
                self.pass_on(server)

    def pass_on(self, server: SSL.Connection) -> None:
        if said := self.outgoing.read():
            server.bio_write(said)
        with contextlib.suppress(SSL.WantReadError):
            self.incoming.write(server.bio_read(65536))


def read(server: SSL.Connection) -> bytes:
    """As mitmproxy reads: until there is nothing more, whatever the reason."""
    found = b""
    try:
        while True:
            found += server.recv(65535)
    except SSL.Error:
        return found


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("The client does not trust the proxy's certificate for x (tlsv1 alert unknown ca)", "unknown ca"),
        ("OpenSSL Error([('SSL routines', '', 'ssl/tls alert bad certificate')])", "bad certificate"),
        ("OpenSSL Error([('SSL routines', '', 'sslv3 alert certificate unknown')])", "certificate unknown"),
        ("OpenSSL Error([('SSL routines', '', 'sslv3 alert certificate expired')])", "certificate expired"),
        ("OpenSSL Error([('SSL routines', '', 'tlsv1 alert access denied')])", "access denied"),
        ("The client disconnected during the handshake. If this happens ...", "closed in the handshake"),
        ("OpenSSL Error([('SSL routines', '', 'no shared cipher')])", None),
        ("OpenSSL Error([('SSL routines', '', 'sslv3 alert handshake failure')])", None),
        ("OpenSSL Error([('SSL routines', '', 'unsupported protocol')])", None),
        ("Client and mitmproxy cannot agree on a TLS version to use.", None),
        ("Cannot parse ClientHello: 160301", None),
        ("connection closed early", None),
    ],
)
def test_alerts_about_the_certificate_are_refusals_and_no_others(error: str, said: str | None) -> None:
    assert refusal(error, certificate_sent=True) == said


def test_who_leaves_before_a_certificate_was_sent_says_nothing_about_it(watched: Watched) -> None:
    watched.handshakes.failed(Data(Client("The client disconnected during the handshake."), None))
    assert watched.refused == []


def test_an_alert_right_after_the_handshake_is_a_refusal_once_the_client_is_gone(
    watched: Watched, server: SSL.Connection
) -> None:
    def alert(size: int) -> bytes:
        raise SSL.Error([("SSL routines", "", "ssl/tls alert certificate unknown")])

    server.__dict__["recv"] = alert  # no TLS library at hand sends one so late
    data = Data(Client(), server)
    watched.handshakes.established(data)
    read(server)
    assert watched.refused == []
    watched.handshakes.disconnected(data.client)
    watched.handshakes.disconnected(data.client)
    assert watched.refused == ["certificate unknown"]


def test_who_closes_after_the_handshake_without_a_word_refuses(watched: Watched, server: SSL.Connection) -> None:
    client = TlsClient()
    client.shake(server)
    data = Data(Client(), server)
    watched.handshakes.established(data)
    assert read(server) == b""
    watched.handshakes.disconnected(data.client)
    assert watched.refused == ["closed right after the handshake"]


def test_who_says_goodbye_does_not_refuse(watched: Watched, server: SSL.Connection) -> None:
    client = TlsClient()
    client.shake(server)
    data = Data(Client(), server)
    watched.handshakes.established(data)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.pass_on(server)
    read(server)
    watched.handshakes.disconnected(data.client)
    assert watched.refused == []


def test_who_asks_something_does_not_refuse_and_is_watched_no_longer(watched: Watched, server: SSL.Connection) -> None:
    client = TlsClient()
    client.shake(server)
    data = Data(Client(), server)
    watched.handshakes.established(data)
    assert "recv" in server.__dict__
    client.tls.write(b"GET / HTTP/1.1\r\n\r\n")
    client.pass_on(server)
    assert read(server) == b"GET / HTTP/1.1\r\n\r\n"
    assert "recv" not in server.__dict__
    watched.handshakes.disconnected(data.client)
    assert watched.refused == []
