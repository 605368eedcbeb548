"""Which hosts are decrypted, by what the operator, the setting and the tables say."""

from __future__ import annotations

import pytest

from aitap.access.decryption.choice import Choices, is_address, plain_name, telemetry_hosts
from aitap.capture.provider_rows import ProviderRow
from aitap.capture.routes import Router

OWN = ProviderRow("our-vllm", "openai", ("llm.corp.example", "*.gpu.corp.example:8443", "10.0.0.5:8000"), "compatible")


def choices(decrypt: str = "providers", **modes: str) -> Choices:
    said = {host.replace("__", "*.").replace("_", "."): mode for host, mode in modes.items()}
    return Choices(decrypt, Router([OWN]), lambda: said)  # type: ignore[arg-type]


def decrypts(found: Choices, *hosts: str, port: int = 443) -> bool:
    return found.of(tuple((host, port) for host in hosts)).decrypt


def test_hosts_of_the_table_and_the_users_own_are_decrypted() -> None:
    found = choices()
    for host in ("api.anthropic.com", "bedrock-runtime.us-east-1.amazonaws.com", "llm.corp.example"):
        assert decrypts(found, host)
    assert decrypts(found, "one.gpu.corp.example", port=8443)
    assert decrypts(found, "10.0.0.5", port=8000)


def test_every_other_host_is_not() -> None:
    found = choices()
    for host in ("anthropic.com", "example.com", "xapi.anthropic.com", "192.0.2.1", "::1", ""):
        assert not decrypts(found, host)
    assert not decrypts(found, "one.gpu.corp.example")


def test_one_known_name_of_a_connection_is_enough() -> None:
    assert decrypts(choices(), "192.0.2.1", "api.openai.com")
    assert choices().of((("192.0.2.1", 443), ("api.openai.com", 443))).host == "api.openai.com"


@pytest.mark.parametrize("host", ["api.openai.com", "example.com", "192.0.2.1"])
def test_observe_decrypts_nothing_and_all_everything(host: str) -> None:
    assert not decrypts(choices("observe"), host)
    assert decrypts(choices("all"), host)


def test_telemetry_is_read_by_no_setting_and_is_no_provider() -> None:
    for decrypt in ("all", "providers", "observe"):
        for host in ("api.segment.io", "o1.ingest.us.sentry.io", "telemetry.individual.githubcopilot.com"):
            verdict = choices(decrypt).of(((host, 443),))
            assert (verdict.decrypt, verdict.provider, verdict.unread_mode) == (False, None, "tunnelled")


def test_no_host_of_the_provider_table_is_telemetry() -> None:
    found = choices()
    for host in ("api.githubcopilot.com", "chatgpt.com", "generativelanguage.googleapis.com", "api.cloudflare.com"):
        assert decrypts(found, host)
    assert len(telemetry_hosts()) == len(set(telemetry_hosts()))


def test_what_is_said_of_a_host_wins_over_every_setting_and_table() -> None:
    assert not decrypts(choices("all", example_com="observe"), "example.com")
    assert decrypts(choices("observe", example_com="decrypt"), "example.com")
    assert not decrypts(choices(api_openai_com="observe"), "api.openai.com")
    assert decrypts(choices(api_segment_io="decrypt"), "api.segment.io")


def test_an_exact_name_wins_over_a_pattern_and_the_longer_pattern_over_the_shorter() -> None:
    found = choices(__example_com="observe", __b_example_com="decrypt", c_b_example_com="observe")
    assert not decrypts(found, "a.example.com")
    assert decrypts(found, "a.b.example.com")
    assert not decrypts(found, "c.b.example.com")


def test_of_two_names_observed_and_decrypted_the_connection_passes_unread() -> None:
    found = choices(front_example="decrypt", api_openai_com="observe")
    assert not decrypts(found, "front.example", "api.openai.com")


def test_a_host_may_be_named_with_its_port_and_an_ipv6_address_as_it_is() -> None:
    found = Choices(
        "all", Router(), lambda: {"example.com:8443": "observe", "[::1]:8443": "observe", "fe80::1": "observe"}
    )
    assert not decrypts(found, "example.com", port=8443)
    assert decrypts(found, "example.com")
    assert not decrypts(found, "::1", port=8443)
    assert not decrypts(found, "fe80::1")


def test_a_change_holds_after_forget() -> None:
    modes: dict[str, str] = {}
    found = Choices("providers", Router(), lambda: modes)
    assert decrypts(found, "api.openai.com")
    modes["api.openai.com"] = "observe"
    found.forget()
    assert not decrypts(found, "api.openai.com")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((("example.com", 443),), "example.com"),
        ((("example.com", 80),), "example.com"),
        ((("example.com", 22),), "example.com:22"),
        ((("192.0.2.1", 443), ("named.example", 443)), "named.example"),
        ((("::1", 443),), "::1"),
        ((("::1", 22),), "[::1]:22"),
        ((("front.example", 443), ("api.openai.com", 443)), "api.openai.com"),
    ],
)
def test_a_connection_is_called_by_the_name_that_says_most(names: tuple[tuple[str, int], ...], told: str) -> None:
    assert choices("observe").of(names).host == told


def test_a_provider_that_passes_unread_is_observed_and_another_host_tunnelled() -> None:
    found = choices("observe")
    assert found.of((("api.openai.com", 443),)).unread_mode == "observed"
    assert found.of((("example.com", 443),)).unread_mode == "tunnelled"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("API.Example.COM.", "api.example.com"),
        ("[::1]", "::1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("\udcff.example", "?.example"),
        ("a" * 300, "a" * 253),
    ],
)
def test_hosts_are_compared_as_they_are_on_the_wire(host: str, name: str) -> None:
    assert plain_name(host) == name


def test_addresses_are_told_from_names() -> None:
    assert [is_address(host) for host in ("192.0.2.1", "::1", "fe80::1%eth0", "example.com", "")] == [True] * 3 + [
        False
    ] * 2
