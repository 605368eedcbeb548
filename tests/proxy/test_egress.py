"""Where clients may go through a real proxy, with real sockets at the other end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.client import exchange
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.plain import ask, connect_to, dial
from tests.proxy.raw import Listener, everything
from tests.proxy.upstream import Upstream

NAMES = {
    "mail.example": [["198.51.100.1"]],
    "internal.example": [["10.20.30.40"]],
    "a.internal.example": [["10.20.30.40"]],
    "METADATA.example.": [["169.254.169.254"]],
    "metadata.example": [["169.254.169.254"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "here.example": [["127.0.0.1"]],
    "rebinding.example": [["127.0.0.2"], ["127.0.0.1"]],
    "ollama.example": [["127.0.0.1"]],
    "both.example": [["10.20.30.40", "127.0.0.3"]],
    "llm.example": [["127.0.0.1"]],
    "api.anthropic.com": [["127.0.0.1"]],
}


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    """Says what it heard: nobody is to get here but whom the operator excepted."""
    listener = Listener(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"))
    yield listener
    listener.close()


def start(folder: Path, confdir: Path, upstream: Upstream, port: int, *arguments: str, **more: str) -> Mitmdump:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_NAMES", json.dumps(NAMES))
        patch.setenv("AITAP_ALLOW_PORTS", f"443,80,{port}")
        for name, value in more.items():
            patch.setenv(name, value)
        return Mitmdump(folder, confdir, upstream, arguments=arguments, network="names.py")


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream, listener: Listener
) -> Iterator[Mitmdump]:
    folder = tmp_path_factory.mktemp("strict")
    file = folder / "aitap.toml"
    file.write_text(
        '[[provider]]\nname = "own"\ntype = "openai"\nhosts = ["llm.example"]\nroutes = "compatible"\n'
        '[[provider]]\nname = "wide"\ntype = "openai"\nhosts = ["*.internal.example"]\nroutes = "compatible"\n'
    )
    # 127.0.0.2 and 127.0.0.3 stand for the Internet.
    private = f"127.0.0.2, 127.0.0.3/32, ollama.example:{listener.port}"
    proxy = start(folder, confdir, _provider, listener.port, AITAP_ALLOW_PRIVATE=private, AITAP_CONFIG=str(file))
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def socks(
    tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream, listener: Listener
) -> Iterator[Mitmdump]:
    private = f"ollama.example:{listener.port}"
    folder = tmp_path_factory.mktemp("socks")
    proxy = start(folder, confdir, _provider, listener.port, "--mode", "socks5", AITAP_ALLOW_PRIVATE=private)
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("where", ["mail.example:25", "smtp.example.com:25", "1.1.1.1:22", "[2606:4700::1111]:6667"])
def test_a_port_that_is_not_allowed_is_refused_with_the_setting_that_would_allow_it(
    strict: Mitmdump, where: str
) -> None:
    answer = connect_to(strict, where)
    assert (answer.status, answer.closed) == (403, True)
    assert answer.headers["content-type"].startswith("text/plain")
    assert "AITAP_ALLOW_PORTS" in answer.text
    assert answer.text.count("\n") == 1


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[64:ff9b::a9fe:a9fe]",
        "0xa9.254.43518",
        "2852039166",
        "metadata.example",
        "METADATA.example.",
        "internal.example",
        "mapped.example",
        "here.example",
    ],
)
def test_an_address_that_is_not_public_is_refused_in_every_spelling(strict: Mitmdump, host: str) -> None:
    answer = connect_to(strict, f"{host}:443")
    assert (answer.status, answer.closed) == (403, True)
    assert "AITAP_ALLOW_PRIVATE" in answer.text


@pytest.mark.parametrize("host", ["api.anthropic.com", "a.internal.example"])
def test_what_is_decrypted_is_refused_where_it_is_dialled_and_the_request_is_told_why(
    strict: Mitmdump, host: str
) -> None:
    """Until then a script may send it elsewhere. A pattern of the user's own vouches for no address."""
    status, body = exchange(strict, host, "/v1/messages", b'{"model": "m", "messages": []}')
    assert status == 502
    assert b"AITAP_ALLOW_PRIVATE" in body


def test_a_name_that_turns_to_loopback_after_the_check_is_dialled_where_the_check_looked(
    strict: Mitmdump, listener: Listener
) -> None:
    before = listener.accepted
    assert tunnelled(strict, f"rebinding.example:{listener.port}") == b""
    assert listener.accepted == before


def test_a_name_that_turns_to_loopback_when_the_check_is_forgotten_is_refused_at_the_dial(
    tmp_path: Path, confdir: Path, upstream: Upstream, listener: Listener
) -> None:
    before = listener.accepted
    proxy = start(tmp_path, confdir, upstream, listener.port, AITAP_ALLOW_PRIVATE="127.0.0.2", TEST_FRESH="0")
    try:
        assert tunnelled(proxy, f"rebinding.example:{listener.port}") == b""
        assert listener.accepted == before
        assert "leads to a loopback address" in proxy.said()
    finally:
        proxy.stop()


def test_what_the_operator_excepts_by_name_and_port_is_reached(strict: Mitmdump, listener: Listener) -> None:
    assert tunnelled(strict, f"ollama.example:{listener.port}").endswith(b"hi")
    assert connect_to(strict, "ollama.example:443").status == 403


def test_a_users_own_provider_is_reached_wherever_it_is(strict: Mitmdump, listener: Listener) -> None:
    assert tunnelled(strict, f"llm.example:{listener.port}").endswith(b"hi")


def test_a_client_on_this_machine_reaches_this_machine_by_its_name(strict: Mitmdump, listener: Listener) -> None:
    assert tunnelled(strict, f"127.0.0.1:{listener.port}").endswith(b"hi")
    assert tunnelled(strict, f"localhost:{listener.port}").endswith(b"hi")


def test_a_name_that_nobody_knows_is_for_the_dial_to_tell(strict: Mitmdump) -> None:
    answer = ask(strict, b"GET http://nowhere.example/ HTTP/1.1\r\nHost: nowhere.example\r\n\r\n")
    assert answer.status == 502


@pytest.mark.parametrize(
    ("target", "setting"),
    [
        ("http://169.254.169.254/latest/meta-data/", "AITAP_ALLOW_PRIVATE"),
        ("http://internal.example/", "AITAP_ALLOW_PRIVATE"),
        ("http://mail.example:25/", "AITAP_ALLOW_PORTS"),
    ],
)
def test_a_plain_request_is_held_to_the_same_rules(strict: Mitmdump, target: str, setting: str) -> None:
    host = target.split("/")[2]
    answer = ask(strict, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (answer.status, answer.closed) == (403, True)
    assert setting in answer.text


def test_a_refusal_does_not_wait_for_the_body(strict: Mitmdump) -> None:
    head = b"POST http://169.254.169.254/ HTTP/1.1\r\nHost: 169.254.169.254\r\ncontent-length: 1000000\r\n\r\n"
    with dial(strict) as connection:
        connection.sendall(head)
        assert connection.recv(12) == b"HTTP/1.1 403"


def test_the_address_that_was_dialled_in_the_end_is_checked_too(
    tmp_path: Path, confdir: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies between the resolver and the socket (here a script that dials loopback for the whole Internet)."""
    monkeypatch.setenv("AITAP_ALLOW_PRIVATE", "127.0.0.2")
    proxy = Mitmdump(tmp_path, confdir, upstream)
    try:
        told = ask(proxy, b"GET http://1.1.1.1/ HTTP/1.1\r\nHost: 1.1.1.1\r\n\r\n")
        assert told.status == 502
        assert "aitap: refused 127.0.0.1" in proxy.said()
        assert upstream.exchanges == []
    finally:
        proxy.stop()


@pytest.mark.parametrize(
    ("host", "port", "reply"),
    [
        ("169.254.169.254", 443, 2),
        ("internal.example", 443, 2),
        ("metadata.example", 443, 2),
        ("mail.example", 25, 2),
        ("localhost", 0, 0),
        ("ollama.example", 0, 0),
    ],
)
def test_socks_is_held_to_the_same_rules(socks: Mitmdump, listener: Listener, host: str, port: int, reply: int) -> None:
    with dial(socks) as connection:
        connection.sendall(b"\x05\x01\x00")
        assert connection.recv(2) == b"\x05\x00"
        connection.sendall(
            b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + (port or listener.port).to_bytes(2, "big")
        )
        assert connection.recv(10)[:2] == bytes([5, reply])
        if reply == 0:
            connection.sendall(b"\x00\x01 no HTTP\n")
            assert everything(connection).endswith(b"hi")
        else:
            assert everything(connection) == b""


def tunnelled(proxy: Mitmdump, where: str) -> bytes:
    """What comes back through a tunnel for one line; empty where there is no way."""
    with dial(proxy) as connection:
        connection.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        if head.startswith(b"HTTP/1.1 502"):
            assert b"there is no way to" in everything(connection)
            return b""
        assert head.startswith(b"HTTP/1.1 200"), head
        try:
            connection.sendall(b"\x00\x01 no HTTP\n")
            return everything(connection)
        except ConnectionError:
            return b""
