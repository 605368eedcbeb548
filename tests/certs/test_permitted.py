"""The constraints cover the hosts of the table and nothing like them."""

from __future__ import annotations

import pytest

from aitap.capture.provider_rows import ProviderRow, builtin_table
from aitap.certs.permitted import Permitted, decrypted_hosts, permitted_names, within

BUILT_IN = permitted_names(decrypted_hosts())
NAMES = frozenset(BUILT_IN.dns)


@pytest.mark.parametrize("pattern", [host for row in builtin_table()["provider"] for host in row["hosts"]])
def test_every_host_of_the_table_is_permitted(pattern: str) -> None:
    if pattern.startswith(("[", "127.")):
        assert pattern.rpartition(":")[0].strip("[]") in BUILT_IN.addresses
        return
    host = pattern.partition(":")[0]
    # What stands for the first star is a customer's own name, or a region, as what stands for a later one is.
    region = "cn-north-1" if host.endswith(".cn") else "us-central1" if "googleapis" in host else "us-east-1"
    example = ("ours" + host[1:] if host.startswith("*.") else host).replace("*", region)
    assert within(example, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "console.aws.amazon.com",
        "s3.us-east-1.amazonaws.com",
        "sts.amazonaws.com",
        "bedrock-runtime.us-east-1.amazonaws.com.example.com",
        "notbedrock-runtime.us-east-1.amazonaws.com",
        "mail.google.com",
        "storage.googleapis.com",
        "evil-aiplatform.googleapis.com",
        "oauth2.googleapis.com",
        "login.microsoftonline.com",
        "azure.com",
        "github.com",
        "example.com",
        "com",
        "",
    ],
)
def test_other_hosts_are_not_permitted(host: str) -> None:
    assert not within(host, NAMES)


def test_the_built_in_table_can_be_said_in_full() -> None:
    assert BUILT_IN.beyond == ()
    assert BUILT_IN.addresses == ("127.0.0.1", "::1")


def test_the_certificate_stays_small_enough_for_every_client() -> None:
    # Java takes 32 KiB of handshake message, with the whole chain in it.
    assert sum(len(name) + 4 for name in BUILT_IN.dns) < 20_000


def test_no_name_is_below_another() -> None:
    assert not [name for name in BUILT_IN.dns if within(name.partition(".")[2], NAMES)]


def test_rows_and_rules_of_ones_own_are_permitted() -> None:
    row = ProviderRow("ours", "openai", ("llm.example.com:8443", "10.1.2.3", "[fd00::7]:443"), "compatible")
    found = permitted_names(decrypted_hosts([row], {"gateway.test": "decrypt", "chatgpt.com": "observe"}))
    assert {"llm.example.com", "gateway.test"} <= set(found.dns)
    assert {"10.1.2.3", "fd00::7"} <= set(found.addresses)


@pytest.mark.parametrize(
    ("pattern", "dns"),
    [
        ("*.example.com", ("example.com",)),
        ("llm-*.example.com", ("example.com",)),
        ("LLM.Example.com", ("llm.example.com",)),
        (
            "sagemaker.*.amazonaws.com.cn",
            ("sagemaker.cn-north-1.amazonaws.com.cn", "sagemaker.cn-northwest-1.amazonaws.com.cn"),
        ),
    ],
)
def test_a_pattern_becomes_the_least_subtree(pattern: str, dns: tuple[str, ...]) -> None:
    assert permitted_names([pattern]).dns == dns


@pytest.mark.parametrize("pattern", ["*", "gateway.*", "llm*", "*.*.amazonaws.*", "a.*.b.*.amazonaws.com"])
def test_what_no_constraint_can_say_is_handed_back(pattern: str) -> None:
    assert permitted_names([pattern]) == Permitted((), (), (pattern,))


def test_covering_goes_by_subtrees_and_single_addresses() -> None:
    have = Permitted(("example.com",), ("10.0.0.1",))
    assert have.covers(Permitted(("llm.example.com",), ()))
    assert not have.covers(Permitted(("example.org",), ()))
    assert not have.covers(Permitted((), ("10.0.0.2",)))
