"""Ports, public addresses and exceptions, without a network."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.egress.destinations import Destinations, names_loopback
from aitap.access.egress.networks import refusal
from aitap.capture.provider_rows import ProviderRow
from aitap.settings import SettingsError


def reason(
    rules: Destinations, host: str, port: int = 443, address: str | None = None, *, local: bool = False
) -> str | None:
    """Why not, once the name has led to the address."""
    destination = rules.to(host, port, local=local)
    refused = destination.unreachable
    if refused is None and address is not None:
        refused = destination.refused(ipaddress.ip_address(address))
    return refused.reason if refused else None


STRICT = Destinations({443, 80}, ())


def test_only_allowed_ports_are_reached() -> None:
    assert reason(STRICT, "api.example.com") is None
    assert reason(STRICT, "api.example.com", 25) == "port"
    assert reason(STRICT, "8.8.8.8", 25) == "port"


def test_a_public_name_may_not_lead_to_a_private_address() -> None:
    assert reason(STRICT, "api.example.com", address="8.8.8.8") is None
    assert reason(STRICT, "api.example.com", address="10.0.0.1") == "address"
    assert reason(STRICT, "api.example.com", address="127.0.0.1", local=True) == "address"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1", "[::1]", "0x7f000001"]
)
def test_who_is_on_this_machine_and_names_it_may_reach_it_on_any_port(host: str) -> None:
    assert names_loopback(host)
    assert reason(STRICT, host, 11434, "127.0.0.1", local=True) is None
    assert reason(STRICT, host, 11434, "127.0.0.1") is not None
    assert reason(STRICT, host, 443, "127.0.0.1") == "address"


def test_localhost_that_leads_elsewhere_is_no_exception() -> None:
    assert reason(STRICT, "localhost", 443, "10.0.0.1", local=True) == "address"
    assert reason(STRICT, "localhost", 25, "8.8.8.8", local=True) == "port"


@pytest.mark.parametrize(
    ("word", "host", "port", "address", "expected"),
    [
        ("all", "internal.example", 443, "10.0.0.1", None),
        ("all", "internal.example", 25, "10.0.0.1", "port"),
        ("10.0.0.0/8", "internal.example", 443, "10.9.9.9", None),
        ("10.0.0.0/8", "10.9.9.9", 443, None, None),
        ("10.0.0.0/8", "internal.example", 443, "192.168.0.1", "address"),
        ("10.0.0.0/8", "internal.example", 8000, "10.9.9.9", "port"),
        ("10.0.0.0/8:8000", "internal.example", 8000, "10.9.9.9", None),
        ("10.0.0.0/8:8000", "internal.example", 443, "10.9.9.9", "address"),
        ("10.0.0.0/8:8000", "internal.example", 8000, "8.8.8.8", "port"),
        ("10.0.0.5", "10.0.0.5", 443, None, None),
        ("10.0.0.5", "::ffff:10.0.0.5", 443, None, None),
        ("10.0.0.5", "10.0.0.6", 443, None, "address"),
        ("ollama.lan", "OLLAMA.lan.", 443, "192.168.0.9", None),
        ("ollama.lan", "ollama.lan", 11434, "192.168.0.9", "port"),
        ("ollama.lan:11434", "ollama.lan", 11434, "192.168.0.9", None),
        ("ollama.lan:11434", "ollama.lan", 443, "192.168.0.9", "address"),
        ("[::1]:11434", "::1", 11434, None, None),
        ("::1", "::1", 443, None, None),
        ("fd00::/8", "internal.example", 443, "fd00::9", None),
    ],
)
def test_an_exception_is_as_wide_as_it_is_written(
    word: str, host: str, port: int, address: str | None, expected: str | None
) -> None:
    assert reason(Destinations({443, 80}, (word,)), host, port, address) == expected


@pytest.mark.parametrize("word", ["10.0.0.0/33", "10.0.0.0/x", "*.lan", "lan:70000", "300.1.1.1/8"])
def test_an_exception_that_cannot_be_read_is_said_in_one_line(word: str) -> None:
    with pytest.raises(SettingsError, match="allow_private: ") as caught:
        Destinations({443}, (word,))
    assert "\n" not in str(caught.value)


def test_the_hosts_of_a_users_own_rows_are_reached_where_they_are() -> None:
    row = ProviderRow("own", "openai", ("llm.lan", "gpu.lan:8000", "*.wide.lan"), "compatible")
    rules = Destinations({443, 80}, (), [row])
    assert reason(rules, "llm.lan", 443, "10.0.0.1") is None
    assert reason(rules, "llm.lan", 8000, "10.0.0.1") == "port"
    assert reason(rules, "gpu.lan", 8000, "10.0.0.1") is None
    assert reason(rules, "gpu.lan", 443, "10.0.0.1") == "address"
    assert reason(rules, "a.wide.lan", 443, "10.0.0.1") == "address"


@given(st.ip_addresses(), st.sampled_from(["api.example.com", "localhost.example", "xn--bcher-kva.example"]))
def test_no_private_address_passes_behind_a_name(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, host: str
) -> None:
    refused = STRICT.to(host, 443, local=True).refused(address)
    assert (refused is None) == (refusal(address) is None)


def test_a_refusal_says_in_one_line_which_setting_would_allow_it_and_not_where_the_name_leads() -> None:
    refused = STRICT.to("internal.example", 443, local=False).refused(ipaddress.ip_address("10.1.2.3"))
    assert refused is not None
    assert "AITAP_ALLOW_PRIVATE" in refused.text
    assert "10.1.2.3" not in refused.text
    assert "\n" not in refused.text
