"""What is private, in every spelling."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.egress.networks import canonical, is_loopback, literal, refusal

REFUSED = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "cloud platform",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "protocol assignment",
    "192.0.2.1": "documentation",
    "192.168.1.1": "private",
    "198.19.255.255": "benchmarking",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "IPv4-compatible",
    "::ffff:10.0.0.1": "private",
    "::ffff:0:127.0.0.1": "IPv4-translated",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local",
    "64:ff9b:1::808:808": "local NAT64",
    "100::1": "discard",
    "2001:0:808:808::1": "protocol assignment",
    "2001:2::1": "protocol assignment",
    "2001:db8::1": "documentation",
    "2002:7f00:1::1": "6to4",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "fd00:ec2::254": "unique local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2001:4860:4860::8888",
    "2606:4700::1111",
]


@pytest.mark.parametrize(("address", "reason"), REFUSED.items())
def test_what_no_client_has_business_with_is_refused_with_its_reason(address: str, reason: str) -> None:
    assert refusal(ipaddress.ip_address(address)) == reason


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_private_passes(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Python's own table is another reading of the same registries; on NAT64 and mapped addresses ours goes deeper."""
    if address.version == 6 and address in ipaddress.ip_network("64:ff9b::/96"):
        return
    if (
        address.is_private
        or address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
    ):
        inner = getattr(address, "ipv4_mapped", None)
        assert refusal(address) is not None or (inner is not None and refusal(inner) is None)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    nat64 = ipaddress.IPv6Address(f"64:ff9b::{address}")
    assert refusal(mapped) == refusal(nat64) == refusal(address)


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, ipaddress.IPv4Address]:
    """An IPv4 address, as inet_aton(3) may be given it."""
    address = draw(st.ip_addresses(v=4))
    assert isinstance(address, ipaddress.IPv4Address)
    last = draw(st.integers(1, 4))
    bytes_ = address.packed
    numbers = [*bytes_[: last - 1], int.from_bytes(bytes_[last - 1 :], "big")]
    text = ".".join(
        draw(st.sampled_from([f"{number}", f"0{number:o}", f"0x{number:x}", f"0X{number:X}"])) for number in numbers
    )
    return text + draw(st.sampled_from(["", ".", ".."])), address


@given(spellings())
def test_no_spelling_of_an_ipv4_address_is_taken_for_a_name(spelling: tuple[str, ipaddress.IPv4Address]) -> None:
    text, address = spelling
    assert literal(text) == address
    assert canonical(text) == str(address)


@given(spellings())
def test_the_resolver_of_this_machine_reads_a_spelling_no_other_way(
    spelling: tuple[str, ipaddress.IPv4Address],
) -> None:
    text, address = spelling
    try:
        read = socket.inet_aton(text)
    except OSError:
        return  # it does not know this one at all
    assert read == address.packed


@given(st.ip_addresses(v=6), st.sampled_from(["{}", "[{}]", "{}%eth0", "[{}%25eth0]", " {} "]), st.booleans())
def test_no_spelling_of_an_ipv6_address_is_taken_for_a_name(
    address: ipaddress.IPv6Address, form: str, exploded: bool
) -> None:
    text = form.format(address.exploded.upper() if exploded else address)
    assert literal(text) == address


@pytest.mark.parametrize(
    "name", ["api.anthropic.com", "localhost", "1.2.3.4.5", "256.1.1.1.", "0x7g.1", "1.2.3.", "", "a.1"]
)
def test_a_name_is_no_address(name: str) -> None:
    expected = ipaddress.ip_address("1.2.0.3") if name == "1.2.3." else None
    assert literal(name) == expected


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_what_stays_on_this_machine_is_loopback(text: str) -> None:
    assert is_loopback(ipaddress.ip_address(text))
    assert not is_loopback(ipaddress.ip_address("8.8.8.8"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("API.Anthropic.COM.", "api.anthropic.com"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("0x7f.1", "127.0.0.1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("LOCALHOST", "localhost"),
        ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localhost"),
        ("①②⑦.0.0.1", "127.0.0.1"),
    ],
)
def test_a_host_is_compared_in_one_spelling(host: str, expected: str) -> None:
    assert canonical(host) == expected
