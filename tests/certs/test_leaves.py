"""Leaves carry names that the CA may sign for, and are made anew before they expire."""

from __future__ import annotations

import ipaddress
import logging
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from mitmproxy import certs

from aitap.certs.leaves import LEAF_LIFE, LeafStore, limit_leaf_life
from aitap.certs.own_ca import create
from aitap.certs.permitted import Permitted
from tests.certs.chains import signer_of, verify

HOSTS = Permitted(("api.anthropic.com", "openai.azure.com"), ("10.0.0.1",))
ANTHROPIC = x509.DNSName("api.anthropic.com")
ADDRESS = x509.IPAddress(ipaddress.ip_address("192.0.2.7"))


@pytest.fixture
def store(tmp_path: Path) -> LeafStore:
    create(tmp_path, HOSTS)
    return LeafStore.of(tmp_path / "mitmproxy-ca.pem")


@pytest.fixture(autouse=True)
def life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "CERT_EXPIRY", timedelta(days=365))
    limit_leaf_life()


def names(entry: certs.CertStoreEntry) -> list[str]:
    return [str(name.value) for name in entry.cert.altnames]


def test_names_of_the_server_s_certificate_that_are_not_permitted_are_left_out(store: LeafStore) -> None:
    sans = [x509.DNSName("cdn.example.com"), ANTHROPIC, x509.DNSName("*.openai.azure.com"), ADDRESS]
    entry = store.get_cert("cdn.example.com", sans)
    assert names(entry) == ["api.anthropic.com", "*.openai.azure.com"]
    assert entry.cert.cn == "api.anthropic.com"


def test_openssl_takes_a_leaf_for_an_address(store: LeafStore, tmp_path: Path) -> None:
    entry = store.get_cert("10.0.0.1", [x509.IPAddress(ipaddress.ip_address("10.0.0.1"))])
    leaf = x509.load_pem_x509_certificate(entry.cert.to_pem())
    assert verify(signer_of(tmp_path), leaf, tmp_path) == "leaf.pem: OK\n"


def test_a_host_that_is_not_permitted_gets_a_leaf_all_the_same_and_a_line_once(
    store: LeafStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert names(store.get_cert("example.com", [x509.DNSName("example.com")])) == ["example.com"]
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "aitap: the CA may not sign for example.com"
    ]


def test_a_leaf_is_made_once_and_anew_when_it_soon_expires(store: LeafStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.get_cert("api.anthropic.com", [ANTHROPIC])
    assert store.get_cert("api.anthropic.com", [ANTHROPIC]) is first
    azure = [x509.DNSName("openai.azure.com")]
    monkeypatch.setattr(certs, "CERT_EXPIRY", timedelta(days=5))
    ending = store.get_cert("openai.azure.com", azure)
    monkeypatch.setattr(certs, "CERT_EXPIRY", LEAF_LIFE)
    again = store.get_cert("openai.azure.com", azure)
    assert again is not ending
    assert again.cert.notafter > datetime.now(UTC) + timedelta(days=40)
    assert store.get_cert("openai.azure.com", azure) is again
    assert len(store.certs) == len(store.expire_queue) == 2


def test_a_leaf_that_was_made_while_the_clock_was_ahead_is_made_anew_when_it_is_right(
    store: LeafStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=30)

    with monkeypatch.context() as patch:
        patch.setattr(certs, "datetime", SimpleNamespace(datetime=Ahead, timedelta=timedelta, UTC=UTC))
        ahead = store.get_cert("api.anthropic.com", [ANTHROPIC])
    assert ahead.cert.notbefore > datetime.now(UTC)
    now = store.get_cert("api.anthropic.com", [ANTHROPIC])
    assert now.cert.notbefore < datetime.now(UTC) < now.cert.notafter
    assert store.get_cert("api.anthropic.com", [ANTHROPIC]) is now


def test_a_leaf_lives_less_than_its_issuer_is_sure_to(store: LeafStore) -> None:
    cert = store.get_cert("api.anthropic.com", [ANTHROPIC]).cert
    assert cert.notafter - cert.notbefore < timedelta(days=50)
    assert cert.notafter < datetime.now(UTC) + timedelta(days=60)


def test_a_certificate_given_by_hand_goes_before_the_constraints(store: LeafStore, tmp_path: Path) -> None:
    other = certs.CertStore.from_store(tmp_path / "other", "mitmproxy", 2048)
    by_hand = other.get_cert("intra.example.com", [x509.DNSName("intra.example.com")])
    other.add_cert(by_hand, "intra.example.com")
    store.adopt(other)
    assert store.get_cert("intra.example.com", [x509.DNSName("intra.example.com"), ADDRESS]) is by_hand


def test_mitmproxy_s_own_ca_signs_for_every_name(tmp_path: Path) -> None:
    certs.CertStore.create_store(tmp_path, "mitmproxy", 2048)
    entry = LeafStore.of(tmp_path / "mitmproxy-ca.pem").get_cert("example.com", [x509.DNSName("example.com"), ADDRESS])
    assert names(entry) == ["example.com", "192.0.2.7"]
