"""The setting that names an upstream proxy."""

from __future__ import annotations

import base64

import pytest

from aitap.access.egress.upstream import upstream_of
from aitap.settings import SettingsError


@pytest.mark.parametrize(
    ("text", "scheme", "address", "credentials"),
    [
        ("http://proxy.example.com:3128", "http", ("proxy.example.com", 3128), None),
        ("https://proxy.example.com", "https", ("proxy.example.com", 443), None),
        ("http://proxy.example.com/", "http", ("proxy.example.com", 80), None),
        ("HTTP://PROXY.example.com:8080", "http", ("proxy.example.com", 8080), None),
        ("http://[::1]:3128", "http", ("::1", 3128), None),
        ("http://staff:secret@proxy.lan:3128", "http", ("proxy.lan", 3128), "staff:secret"),
        ("http://st%40ff:p%3Aw%2F@proxy.lan:3128", "http", ("proxy.lan", 3128), "st@ff:p:w/"),
        ("http://token@proxy.lan:3128", "http", ("proxy.lan", 3128), "token:"),
        ("http://:secret@proxy.lan:3128", "http", ("proxy.lan", 3128), ":secret"),
    ],
)
def test_an_address_with_or_without_credentials(
    text: str, scheme: str, address: tuple[str, int], credentials: str | None
) -> None:
    upstream = upstream_of(text)
    assert upstream is not None
    assert (upstream.scheme, upstream.address) == (scheme, address)
    expected = "Basic " + base64.b64encode(credentials.encode()).decode() if credentials is not None else None
    assert upstream.authorization == expected


def test_no_upstream_is_none() -> None:
    assert upstream_of("") is None


def test_credentials_are_in_no_representation() -> None:
    upstream = upstream_of("http://staff:planted-secret@proxy.lan:3128")
    assert upstream is not None
    assert upstream.authorization is not None
    assert "planted" not in repr(upstream)
    assert upstream.authorization not in repr(upstream)


@pytest.mark.parametrize(
    "text",
    [
        "proxy.lan:3128",
        "socks5://staff:planted-secret@proxy.lan:1080",
        "http://staff:planted-secret@",
        "http://staff:planted-secret@proxy.lan:port",
        "http://staff:planted-secret@proxy.lan:3128/path",
        "http://staff:planted secret@proxy.lan:3128",
        "http://@proxy.lan:3128",
        "http://[::1:3128",
    ],
)
def test_what_cannot_be_read_is_one_line_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        upstream_of(text)
    assert "\n" not in str(caught.value)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "LOCALHOST."])
def test_this_machine_is_not_asked_of_it(host: str) -> None:
    upstream = upstream_of("http://proxy.lan:3128")
    assert upstream is not None
    assert not upstream.serves(host)
    assert upstream.serves("api.example.com")
