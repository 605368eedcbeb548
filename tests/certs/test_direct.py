"""``NO_PROXY``: what of it leads around the proxy, and what may stay."""

from __future__ import annotations

import pytest

from aitap.certs.direct import ai_hosts, excluded, merged

HOSTS = ["api.anthropic.com", "api.openai.com"]


@pytest.mark.parametrize(
    ("entry", "hosts"),
    [
        ("*", HOSTS),
        ("api.anthropic.com", HOSTS[:1]),
        (".anthropic.com", HOSTS[:1]),
        ("*.anthropic.com", HOSTS[:1]),
        ("com", HOSTS),
        ("anthropic.com:443", HOSTS[:1]),
        ("anthropic.com:8443", []),
        ("thropic.com", []),
        ("10.0.0.0/8", []),
        ("::1", []),
        ("", []),
        (".", []),
    ],
)
def test_entries_mean_what_they_mean_to_clients(entry: str, hosts: list[str]) -> None:
    assert excluded(entry, HOSTS) == hosts


def test_a_list_of_ones_own_stays_without_what_leads_around_the_proxy() -> None:
    assert merged("") == "127.0.0.1,localhost,::1"
    assert (
        merged("localhost, .corp.example anthropic.com,*,10.0.0.0/8")
        == "127.0.0.1,localhost,::1,.corp.example,10.0.0.0/8"
    )


def test_hosts_of_this_machine_are_no_ai_hosts() -> None:
    hosts = ai_hosts()
    assert "api.anthropic.com" in hosts
    assert not any(excluded(name, hosts) for name in ("localhost", "127.0.0.1", "::1"))
