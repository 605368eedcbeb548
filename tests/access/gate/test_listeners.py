"""A key is not needed only where nobody but this machine can come in."""

from __future__ import annotations

import pytest
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from aitap.access.gate.listeners import (
    all_loopback,
    arrived_by_loopback,
    carries_credentials,
    is_loopback,
    options_say_loopback,
)

LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"]
NOT = ["", "0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "fe80::1%eth0", "example.com", "localhost.example.com", "*"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_these_are_this_machine(host: str) -> None:
    assert is_loopback(host)
    assert options_say_loopback(["regular"], host)


@pytest.mark.parametrize("host", NOT)
def test_these_are_not_or_cannot_be_told(host: str) -> None:
    assert not is_loopback(host)
    assert not options_say_loopback(["regular"], host)


@pytest.mark.parametrize(
    ("modes", "host", "expected"),
    [
        (["regular"], None, False),
        (["regular", "socks5"], "127.0.0.1", True),
        (["regular@127.0.0.1:8080"], None, True),
        (["regular@8080"], "127.0.0.1", True),
        (["regular@8080"], None, False),
        (["regular@127.0.0.1:8080", "socks5@0.0.0.0:1080"], "127.0.0.1", False),
        (["regular@0.0.0.0:8080"], "127.0.0.1", False),
        (["upstream:http://proxy:3128"], "127.0.0.1", True),
        (["reverse:https://api.openai.com@[::1]:8443"], "127.0.0.1", True),
        (["transparent"], "127.0.0.1", True),
        (["wireguard"], None, False),
        (["local"], "127.0.0.1", True),
        (["tun"], "127.0.0.1", False),
        (["no such mode"], "127.0.0.1", False),
        ([], "127.0.0.1", True),
    ],
)
def test_every_listener_counts(modes: list[str], host: str | None, expected: bool) -> None:
    assert options_say_loopback(modes, host) is expected


def test_what_is_bound_counts_too() -> None:
    assert all_loopback([("127.0.0.1", 8080), ("::1", 8080, 0, 0)])
    assert not all_loopback([("127.0.0.1", 8080), ("0.0.0.0", 8080)])


@pytest.mark.parametrize(("sockname", "expected"), [(("127.0.0.1", 1), True), (("10.0.0.1", 1), False), (None, False)])
def test_where_a_connection_came_in_counts(sockname: tuple[str, int] | None, expected: bool) -> None:
    client = tflow.tclient_conn()
    client.sockname = sockname  # type: ignore[assignment]
    assert arrived_by_loopback(client) is expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("regular", True),
        ("upstream:http://p:1", True),
        ("socks5", True),
        ("transparent", False),
        ("reverse:http://a", False),
    ],
)
def test_only_a_proxy_that_clients_know_of_can_ask_them(mode: str, expected: bool) -> None:
    client = tflow.tclient_conn()
    client.proxy_mode = mode_specs.ProxyMode.parse(mode)
    assert carries_credentials(client) is expected
