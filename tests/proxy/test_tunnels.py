"""What is not decrypted passes through a real mitmdump unread and whole, and is counted to the byte."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.raw import (
    TIMEOUT,
    Listener,
    certificate_of,
    everything,
    exactly,
    host_listed,
    hosts_of,
    listening,
    open_socks,
    open_tunnel,
    reset,
    trusting,
)
from tests.proxy.upstream import Upstream

HOST = "tunnelled.example.com"


@pytest.fixture
def start(tmp_path: Path, confdir: Path) -> Iterator[Callable[..., Mitmdump]]:
    """Start a proxy whose every connection leads to the server given."""
    started: list[Mitmdump] = []

    def start(server: Listener | Upstream | Mitmdump, *arguments: str, folder: str = "proxy") -> Mitmdump:
        (tmp_path / folder).mkdir(exist_ok=True)
        started.append(Mitmdump(tmp_path / folder, confdir, server, arguments=arguments))
        return started[-1]

    yield start
    for proxy in reversed(started):
        proxy.stop()


@pytest.fixture(scope="module")
def bare() -> Iterator[Listener]:
    """The server of :func:`proxy`; each test gives it a handler."""
    with listening(echo) as server:
        yield server


@pytest.fixture(scope="module", params=["lazy", "eager"])
def proxy(
    request: pytest.FixtureRequest, bare: Listener, tmp_path_factory: pytest.TempPathFactory, confdir: Path
) -> Iterator[Mitmdump]:
    """A proxy that connects when there is something to send, and one that connects at once."""
    strategy = f"connection_strategy={request.param}"
    proxy = Mitmdump(tmp_path_factory.mktemp("tunnels"), confdir, bare, arguments=("--set", strategy))
    yield proxy
    proxy.stop()


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """A host that no other test counts."""
    return f"h{abs(hash(request.node.name))}.example.com"


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def digest_at_the_end(connection: socket.socket) -> None:
    """Read to the end, then answer: only a half-close brings the answer out."""
    connection.sendall(hashlib.sha256(everything(connection)).digest() * 4096)


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Upstream, bytes]]:
    """A TLS server and its certificate."""
    server = Upstream(tmp_path)
    yield server, server.shown
    server.close()


@pytest.mark.parametrize("strategy", ["lazy", "eager"])
def test_the_servers_own_certificate_reaches_the_client(
    start: Callable[..., Mitmdump], tls: tuple[Upstream, bytes], strategy: str
) -> None:
    server, certificate = tls
    proxy = start(server, "--set", f"connection_strategy={strategy}")
    assert certificate_of(open_tunnel(proxy, HOST), HOST) == certificate
    host_listed(proxy, HOST, "tunnelled", connections=1, interceptions=0)


def test_every_byte_is_counted_each_way(proxy: Mitmdump, bare: Listener, host: str) -> None:
    sent, received = os.urandom(3_000_001), os.urandom(777_777)

    def serve(connection: socket.socket) -> None:
        assert everything(connection) == sent
        connection.sendall(received)

    bare.handler = serve
    tunnel = open_tunnel(proxy, host, user_agent="curl/8.7.1")
    tunnel.sendall(sent)
    tunnel.shutdown(socket.SHUT_WR)
    assert everything(tunnel) == received
    counts = {"bytes_sent": len(sent), "bytes_received": len(received), "refusals": 0}
    row = host_listed(proxy, host, "tunnelled", connections=1, **counts)
    assert (row["clients"], row["addresses"], row["provider"]) == (["curl"], ["127.0.0.1"], None)


@pytest.mark.parametrize("port", [443, 80])
def test_a_half_close_of_the_client_does_not_cut_off_the_answer(
    proxy: Mitmdump, bare: Listener, host: str, port: int
) -> None:
    bare.handler = digest_at_the_end
    for said in (b"\x00 at once", b"\x00 in two" * 100_000):
        tunnel = open_tunnel(proxy, host, port)
        tunnel.sendall(said)
        tunnel.shutdown(socket.SHUT_WR)
        assert everything(tunnel) == hashlib.sha256(said).digest() * 4096


def test_a_half_close_of_the_server_does_not_cut_off_the_client(proxy: Mitmdump, bare: Listener, host: str) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"that was all")
        connection.shutdown(socket.SHUT_WR)
        heard.append(everything(connection))

    bare.handler = serve
    tunnel = open_tunnel(proxy, host)
    tunnel.sendall(b"\x01first")
    assert everything(tunnel) == b"that was all"
    tunnel.sendall(b" and more" * 10_000)
    tunnel.close()
    until(lambda: heard, "what the client said after the server had ended")
    assert heard == [b"\x01first" + b" and more" * 10_000]
    host_listed(proxy, host, "tunnelled", bytes_sent=90_006, bytes_received=12)


def test_when_the_client_dies_the_server_hears_of_it_and_the_bytes_are_counted(
    proxy: Mitmdump, bare: Listener, host: str
) -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(connection.recv(100))
        everything(connection)
        ended.set()

    bare.handler = serve
    tunnel = open_tunnel(proxy, host)
    tunnel.sendall(b"\x02hello")
    assert tunnel.recv(100) == b"\x02hello"
    reset(tunnel)
    assert ended.wait(60)
    host_listed(proxy, host, "tunnelled", bytes_sent=6, bytes_received=6)


def test_when_the_server_dies_the_client_hears_of_it_and_the_bytes_are_counted(
    proxy: Mitmdump, bare: Listener, host: str
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(connection.recv(100))
        connection.recv(100)
        reset(connection)

    bare.handler = serve
    tunnel = open_tunnel(proxy, host)
    tunnel.sendall(b"\x02hello")
    assert tunnel.recv(100) == b"\x02hello"
    tunnel.sendall(b"die")
    assert everything(tunnel) == b""
    tunnel.close()
    host_listed(proxy, host, "tunnelled", bytes_sent=9, bytes_received=6)


def test_a_host_that_cannot_be_reached_is_not_listed_and_the_client_is_told(start: Callable[..., Mitmdump]) -> None:
    server = Listener(echo)
    server.close()
    proxy = start(server)
    with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT) as tunnel:
        tunnel.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        answer = everything(tunnel)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert f"aitap: there is no way to {HOST}: ".encode() in answer
    assert (HOST, "tunnelled") not in hosts_of(proxy)


def test_an_address_that_cannot_be_reached_is_closed_since_its_tls_might_still_name_a_provider(
    start: Callable[..., Mitmdump],
) -> None:
    server = Listener(echo)
    server.close()
    proxy = start(server)
    tunnel = open_tunnel(proxy, "192.0.2.7")
    tunnel.sendall(b"\x00\x01\x02")
    assert everything(tunnel) == b""


def test_an_open_tunnel_is_listed_and_what_passed_is_counted_when_the_proxy_stops(
    start: Callable[..., Mitmdump], bare: Listener
) -> None:
    bare.handler = echo
    proxy = start(bare)
    with open_tunnel(proxy, HOST) as tunnel:
        tunnel.sendall(b"\x00" * 1000)
        assert exactly(tunnel, 1000) == b"\x00" * 1000
        host_listed(proxy, HOST, "tunnelled", connections=1)
        proxy.stop()
        row = hosts_of(proxy)[HOST, "tunnelled"]
    assert (row["connections"], row["bytes_sent"], row["bytes_received"]) == (1, 1000, 1000)


def test_a_client_hello_in_single_bytes_is_understood(
    start: Callable[..., Mitmdump], tls: tuple[Upstream, bytes]
) -> None:
    server, certificate = tls
    proxy = start(server)
    for name, unread in ((HOST, True), ("api.openai.com", False)):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting().wrap_bio(incoming, outgoing, server_hostname=name)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        tunnel = open_tunnel(proxy, name)
        tunnel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in outgoing.read():
            tunnel.sendall(bytes([byte]))
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(tunnel.recv(65536))
        assert (client.getpeercert(binary_form=True) == certificate) is unread
        tunnel.close()


@pytest.mark.parametrize(
    "opening",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x16",
        b"\x16\x03",
        b"\x16\x03\x01\x00\x05garbage that is no ClientHello",
        b"\x16\x03\x01\x00\x00",
        b"\x80\x2e\x01\x00\x02",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00",
        b"A",
    ],
)
def test_whatever_a_client_says_in_a_tunnel_arrives_as_it_was_said(
    proxy: Mitmdump, bare: Listener, host: str, opening: bytes
) -> None:
    bare.handler = echo
    with open_tunnel(proxy, host) as tunnel:
        tunnel.sendall(opening)
        rest = b"\x00" + os.urandom(70_000)
        tunnel.sendall(rest)
        assert exactly(tunnel, len(opening + rest)) == opening + rest


def test_what_is_neither_tls_nor_http_passes_unread_to_a_provider_too(proxy: Mitmdump, bare: Listener) -> None:
    bare.handler = echo
    with open_tunnel(proxy, "api.groq.com", user_agent="unheard-of (x)") as tunnel:
        tunnel.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        assert exactly(tunnel, 23) == b"SSH-2.0-OpenSSH_9.2p1\r\n"
    row = host_listed(proxy, "api.groq.com", "observed", bytes_sent=23, bytes_received=23)
    assert (row["provider"], row["provider_name"], row["clients"]) == ("openai", "groq", ["unheard-of"])


def test_a_server_that_speaks_first_is_heard(start: Callable[..., Mitmdump], bare: Listener) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 ready\r\n")
        echo(connection)

    bare.handler = serve
    proxy = start(bare, "--set", "connection_strategy=eager")
    for name in (HOST, "api.openai.com"):
        with open_tunnel(proxy, name) as tunnel:
            assert exactly(tunnel, 11) == b"220 ready\r\n"
            tunnel.sendall(b"EHLO\r\n")
            assert exactly(tunnel, 6) == b"EHLO\r\n"


def test_two_hundred_tunnels_at_once(proxy: Mitmdump, bare: Listener, host: str) -> None:
    bare.handler = echo
    accepted = bare.accepted
    with ThreadPoolExecutor(20) as pool:
        tunnels = list(pool.map(lambda _: open_tunnel(proxy, host), range(200)))

        def talk(number: int) -> bool:
            tunnel, said = tunnels[number], b"\x00" + number.to_bytes(2) * 5000
            for _ in range(3):
                tunnel.sendall(said)
                if exactly(tunnel, len(said)) != said:
                    return False
            return True

        assert all(pool.map(talk, range(200)))
    assert bare.accepted - accepted == 200
    for tunnel in tunnels:
        tunnel.close()
    sums = {"bytes_sent": 200 * 30_003, "bytes_received": 200 * 30_003}
    host_listed(proxy, host, "tunnelled", connections=200, **sums)


def test_through_an_upstream_proxy(
    start: Callable[..., Mitmdump], tls: tuple[Upstream, bytes], proxy: Mitmdump, bare: Listener
) -> None:
    server, certificate = tls
    upstream = ("--mode", "upstream:http://upstream.example.com:8080")
    first = start(proxy, *upstream, folder="first")
    bare.handler = digest_at_the_end
    tunnel = open_tunnel(first, HOST)
    tunnel.sendall(b"\x00")
    tunnel.shutdown(socket.SHUT_WR)
    assert everything(tunnel) == hashlib.sha256(b"\x00").digest() * 4096
    tunnel.close()
    host_listed(first, HOST, "tunnelled", connections=1, bytes_sent=1, bytes_received=32 * 4096)
    through_tls = start(start(server, folder="last"), *upstream, folder="other")
    assert certificate_of(open_tunnel(through_tls, HOST), HOST) == certificate


@pytest.mark.parametrize("strategy", ["lazy", "eager"])
def test_through_a_proxy_that_speaks_tls_itself(
    start: Callable[..., Mitmdump], tls: tuple[Upstream, bytes], strategy: str
) -> None:
    server, certificate = tls
    proxy = start(server, "--set", f"connection_strategy={strategy}")
    context = trusting()
    plain = socket.create_connection(("127.0.0.1", proxy.port), 60)
    outer = context.wrap_socket(plain, server_hostname="proxy.example.com")
    outer.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
    assert outer.recv(1000).startswith(b"HTTP/1.1 200")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    while True:
        try:
            inner.do_handshake()
            break
        except ssl.SSLWantReadError:
            outer.sendall(outgoing.read())
            incoming.write(outer.recv(65536))
    assert inner.getpeercert(binary_form=True) == certificate
    outer.close()
    host_listed(proxy, HOST, "tunnelled", connections=1)


def test_through_socks(start: Callable[..., Mitmdump], tls: tuple[Upstream, bytes]) -> None:
    server, certificate = tls
    proxy = start(server, "--mode", "socks5")
    assert certificate_of(open_socks(proxy, HOST), HOST) == certificate
    assert certificate_of(open_socks(proxy, "192.0.2.1"), "named.example.com") == certificate
    # By its SNI alone it is known, though the client gave an address.
    assert certificate_of(open_socks(proxy, "192.0.2.1"), "api.anthropic.com") != certificate
    host_listed(proxy, HOST, "tunnelled", connections=1)
    host_listed(proxy, "named.example.com", "tunnelled", connections=1)


def test_a_half_close_through_socks(start: Callable[..., Mitmdump]) -> None:
    with listening(digest_at_the_end) as server:
        proxy = start(server, "--mode", "socks5", "--set", "aitap_allow_ports=443,2222")
        tunnel = open_socks(proxy, HOST, 2222)
        tunnel.sendall(b"SSH-2.0-x\r\n")
        tunnel.shutdown(socket.SHUT_WR)
        assert everything(tunnel) == hashlib.sha256(b"SSH-2.0-x\r\n").digest() * 4096
        host_listed(proxy, f"{HOST}:2222", "tunnelled", bytes_sent=11, bytes_received=32 * 4096)


def test_tls_without_a_name_to_an_address_passes_unread(
    start: Callable[..., Mitmdump], tls: tuple[Upstream, bytes]
) -> None:
    server, certificate = tls
    proxy = start(server)
    assert certificate_of(open_tunnel(proxy, "192.0.2.7"), None) == certificate
    host_listed(proxy, "192.0.2.7", "tunnelled", connections=1)
