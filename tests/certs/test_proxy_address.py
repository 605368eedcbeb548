"""A proxy's address: read as people write it, written as clients need it, shown without its password."""

from __future__ import annotations

import base64
import socket
from urllib.parse import unquote, urlsplit

import hypothesis
import hypothesis.strategies as st
import pytest

from aitap.certs.proxy_address import ProxyAddress, parse


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:9", "http://localhost:9"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("HTTPS://Proxy.Example:3128", "https://proxy.example:3128"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("http://alice:KEY@host:1", "http://alice:KEY@host:1"),
        ("http://alice@host:1", "http://alice@host:1"),
        ("http://alice:p@ss/w#rd?:x@host:1", "http://alice:p%40ss%2Fw%23rd%3F%3Ax@host:1"),
        ("http://alice:p%40ss@host:1", "http://alice:p%40ss@host:1"),
        ("http://alice:100%@host:1", "http://alice:100%25@host:1"),
        ("http://:KEY@host:1", "http://:KEY@host:1"),
    ],
)
def test_what_people_write_becomes_what_clients_need(text: str, url: str) -> None:
    assert parse(text).url == url
    assert parse(url).url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "ftp://host:1",
        "http://a b:1",
        "socks5://u:SECRET@h:1",
        "http://u:SECRET@h",
    ],
)
def test_what_is_no_address_is_one_line_without_the_password(text: str) -> None:
    with pytest.raises(ValueError, match="write http://HOST:PORT") as caught:
        parse(text)
    assert "SECRET" not in str(caught.value)


@hypothesis.given(st.text(st.characters(codec="utf-8", exclude_characters=":%")), st.text(st.characters(codec="utf-8")))
def test_any_credentials_survive_the_way_to_a_client(username: str, password: str) -> None:
    address = ProxyAddress(scheme="http", host="host", port=1, username=username, password=password)
    parts = urlsplit(address.url)
    assert (parts.hostname, parts.port) == ("host", 1)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (username, password)
    assert parse(address.url) == address


def test_the_password_is_shown_nowhere() -> None:
    address = parse("http://alice:SECRET@host:1")
    assert str(address) == repr(address) == f"{address}" == "http://alice:***@host:1"
    assert "SECRET" not in repr([address])


def test_the_header_is_basic_with_the_decoded_credentials() -> None:
    scheme, _, token = str(parse("http://alice:p%40ss@host:1").authorization).partition(" ")
    assert (scheme, base64.b64decode(token)) == ("Basic", b"alice:p@ss")
    assert parse("host:1").authorization is None


def test_a_key_of_its_own_keeps_the_name() -> None:
    assert parse("http://alice@host:1").with_key("k").url == "http://alice:k@host:1"
    assert parse("http://host:1").with_key("k").url == "http://key:k@host:1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_loopback_is_here(host: str) -> None:
    assert parse(f"{host}:1").here()


def test_only_addresses_of_this_machine_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not parse("192.0.2.1:1").here()
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    )
    assert parse("this-machine:1").here()
