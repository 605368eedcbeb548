"""SOCKS5 with and without a user and a password (RFC 1928, RFC 1929), through a real mitmdump."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aitap.access.identity import user_id
from tests.proxy.gate import Gated, gated, own_address, rest, shared
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.plain import read_answer
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, ask_chat, chat_json

HOST = "api.openai.com"
NO_AUTHENTICATION, PASSWORD = b"\x05\x01\x00", b"\x05\x01\x02"


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Gated]:
    with gated(shared(tmp_path_factory, confdir, _provider), arguments=("--mode", "socks5")) as place:
        yield place
        place.proxy.stop()


@pytest.fixture
def place(_place: Gated, upstream: Upstream) -> Gated:
    _place.proxy.forget()
    upstream.serve(answer(chat_json("c1", text="Hi")))
    return _place


def sign_in(connection: socket.socket, user: str, password: str) -> bytes:
    """Show user and password; what the proxy says to that."""
    connection.sendall(PASSWORD)
    assert connection.recv(2) == b"\x05\x02"
    name, secret = user.encode(), password.encode()
    connection.sendall(b"\x01" + bytes([len(name)]) + name + bytes([len(secret)]) + secret)
    return connection.recv(2)


def go_to(connection: socket.socket, host: str) -> bytes:
    connection.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", 443))
    return connection.recv(10)[:2]


def test_no_credentials_are_refused(place: Gated, upstream: Upstream) -> None:
    with place.dial(own_address()) as connection:
        connection.sendall(NO_AUTHENTICATION)
        assert connection.recv(2) == b"\x05\xff"
        assert b"\x05\x00" not in rest(connection)
    assert upstream.exchanges == []


@pytest.mark.parametrize("password", ["wrong", "aitap_" + "x" * 43, "", "\x00"])
def test_wrong_credentials_are_refused(password: str, place: Gated, upstream: Upstream) -> None:
    with place.dial(own_address()) as connection:
        assert sign_in(connection, "alice", password) == b"\x01\x01"
        assert b"HTTP" not in rest(connection)
    assert upstream.exchanges == []


def test_whoever_goes_on_after_a_refusal_gets_nowhere(place: Gated, upstream: Upstream) -> None:
    with place.dial(own_address()) as connection:
        connection.sendall(PASSWORD)
        assert connection.recv(2) == b"\x05\x02"
        place_to_go = b"\x05\x01\x00\x03\x0eapi.openai.com\x01\xbb"
        connection.sendall(b"\x01\x01a\x01b" + place_to_go + b"GET / HTTP/1.1\r\n\r\n")
        assert b"\x05\x00" not in rest(connection)
    assert upstream.exchanges == []


def test_a_key_lets_in_and_the_record_says_whose(place: Gated) -> None:
    key = place.people.key("hana")
    with place.dial(own_address()) as connection:
        assert sign_in(connection, "whoever", key) == b"\x01\x00"
        assert go_to(connection, HOST) == b"\x05\x00"
        body = ask_chat("hi")
        with place.proxy.trust().wrap_socket(connection, server_hostname=HOST) as tunnel:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            tunnel.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert read_answer(tunnel).status == 200
    record = place.proxy.record()
    assert (record["initiator_id"], record["api_key_id"]) == (user_id("hana"), place.people.key_id(key))


def test_a_revoked_key_closes_what_it_opened(place: Gated) -> None:
    key = place.people.key("ivan")
    with place.dial(own_address()) as connection:
        assert sign_in(connection, "ivan", key) == b"\x01\x00"
        assert go_to(connection, "tunnelled.example.com") == b"\x05\x00"
        place.people.revoke(key)
        before = time.monotonic()
        assert rest(connection) == b""
    assert time.monotonic() - before < 6


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_is_let_in_with_the_key(place: Gated) -> None:
    command = ["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}"]
    command += ["--cacert", str(place.proxy.certificate)]
    command += ["-x", place.url("alice", place.people.key()).replace("http://", "socks5h://")]
    done = subprocess.run([*command, f"https://{HOST}/v1/models"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("200", "")


def test_on_loopback_nobody_is_asked(start_proxy: Callable[..., Mitmdump]) -> None:
    with gated(start_proxy, auth="auto", arguments=("--mode", "socks5")) as place, place.dial() as connection:
        connection.sendall(NO_AUTHENTICATION)
        assert connection.recv(2) == b"\x05\x00"
        assert go_to(connection, HOST) == b"\x05\x00"
