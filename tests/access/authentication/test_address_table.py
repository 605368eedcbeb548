"""``[[address]]``: who comes from where, and what is said of rows that are wrong."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.authentication.address_table import AddressError, AddressTable, address_rows
from aitap.settings import SettingsError, load


def table(**users: str) -> AddressTable:
    rows = [{"network": network, "user": user} for user, network in users.items()]
    return AddressTable(address_rows(rows))


def test_the_longest_prefix_wins() -> None:
    people = table(all="0.0.0.0/0", office="10.0.0.0/8", lab="10.1.2.0/24", ada="10.1.2.3", six="2001:db8::/32")
    found = [people.user(a) for a in ("10.1.2.3", "10.1.2.4", "10.9.9.9", "192.0.2.1", "2001:db8::1", "2001:db9::1")]
    assert found == ["ada", "lab", "office", "all", "six", None]


@pytest.mark.parametrize("address", ["", "nonsense", "10.0.0", "fe80::1%eth0"])
def test_what_is_no_address_is_nobody(address: str) -> None:
    assert table(office="10.0.0.0/8").user(address) is None
    assert AddressTable(()).user("10.0.0.1") is None


@given(
    st.lists(st.ip_addresses(v=4).flatmap(lambda a: st.integers(0, 32).map(lambda n: (a, n))), max_size=12),
    st.ip_addresses(v=4),
)
def test_it_finds_what_looking_through_all_rows_finds(
    places: list[tuple[ipaddress.IPv4Address, int]], address: ipaddress.IPv4Address
) -> None:
    networks = {ipaddress.ip_network((int(place), length), strict=False) for place, length in places}
    people = AddressTable(address_rows([{"network": str(network), "user": str(network)} for network in networks]))
    best = max((network for network in networks if address in network), key=lambda n: n.prefixlen, default=None)
    assert people.user(str(address)) == (best and str(best))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"network": "10.0.0.0/8"}], 'address 1: say who it is: user = "alice"'),
        ([{"user": "alice"}], "address 1: say where 'alice' comes from: network = \"10.1.2.0/24\""),
        ([{"network": "10.0.0.1/8", "user": "a"}], "address 1: 10.0.0.1/8 has host bits set"),
        ([{"netwrok": "10.0.0.0/8", "user": "a"}], "address 1: unknown key 'netwrok', did you mean 'network'?"),
        ([{"network": "10.0.0.0/8", "usr": "a"}], "address 1: unknown key 'usr', did you mean 'user'?"),
        ([{"network": "::/0", "user": "a"}] * 2, "address 2: ::/0 is in an earlier row already"),
        ({"network": "::/0"}, "address: write each row as [[address]]"),
    ],
)
def test_a_row_that_is_wrong_is_one_line_that_says_how(rows: Any, problem: str) -> None:
    with pytest.raises(AddressError) as caught:
        address_rows(rows)
    assert str(caught.value) == problem


def test_the_file_of_settings_has_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "aitap.toml"
    path.write_text('[[address]]\nnetwork = "10.0.0.0/8"\nuser = "alice"\n')
    assert [row.user for row in load({}, {"AITAP_CONFIG": str(path)}).addresses] == ["alice"]
    path.write_text('[[adress]]\nnetwork = "10.0.0.0/8"\nuser = "alice"\n')
    with pytest.raises(SettingsError, match="unknown setting 'adress', did you mean 'address'"):
        load({}, {"AITAP_CONFIG": str(path)})
