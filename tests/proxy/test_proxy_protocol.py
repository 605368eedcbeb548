"""A real proxy behind a load balancer that says who connects."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.people import People, basic
from tests.proxy.raw import TIMEOUT
from tests.proxy.upstream import Upstream

FRONT = "127.0.0.9"
HOST = "tunnelled.example.com"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    arguments = ("--set", f"aitap_proxy_protocol={FRONT}")
    proxy = Mitmdump(tmp_path_factory.mktemp("behind"), confdir, _provider, arguments=arguments)
    yield proxy
    proxy.stop()


def answer(proxy: Mitmdump, header: bytes, source: str = FRONT, **fields: str) -> bytes:
    """The first line of the answer to CONNECT; empty where the connection is closed instead."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT, source_address=(source, 0)) as connection:
        connection.sendall(header + f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode())
        try:
            return connection.makefile("rb").readline()
        except ConnectionResetError:
            return b""


def test_a_client_has_its_own_address_and_needs_a_key_although_all_listens_on_loopback(proxy: Mitmdump) -> None:
    header = b"PROXY TCP4 203.0.113.9 10.0.0.1 51234 8080\r\n"
    assert answer(proxy, header).startswith(b"HTTP/1.1 407 ")
    until(lambda: "from 203.0.113.9: key missing" in proxy.said(), "a refusal in the log")
    authorization = basic("alice", People(proxy).key())
    until(
        lambda: answer(proxy, header, proxy_authorization=authorization).startswith(b"HTTP/1.1 200 "), "a way through"
    )


def test_whoever_comes_by_another_way_cannot_say_who_they_are(proxy: Mitmdump) -> None:
    header = b"PROXY TCP4 203.0.113.77 10.0.0.1 51234 8080\r\n"
    assert b" 200 " not in answer(proxy, header, source="127.0.0.1")
    assert "from 203.0.113.77" not in proxy.said()


def test_a_load_balancer_that_says_nothing_is_not_believed(proxy: Mitmdump) -> None:
    assert answer(proxy, b"") == b""
    until(lambda: f"{FRONT} is in proxy_protocol, but sent no header of it" in proxy.said(), "a line that says so")
