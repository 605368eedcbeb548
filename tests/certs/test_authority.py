"""The CA is the one mitmproxy signs with, found or made."""

from __future__ import annotations

import os
import re
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mitmproxy.certs import CertStore

from aitap.certs.authority import AuthorityError, certificates, ensure_authority, facts


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ca") / "not" / "there yet"
    ensure_authority(folder)
    return folder


def test_a_ca_made_by_us_is_used_by_mitmproxy_as_it_is(confdir: Path) -> None:
    store = CertStore.from_store(confdir, "mitmproxy", 2048)
    signer = facts(ensure_authority(confdir)).signer
    assert signer is not None
    assert signer.sha256.replace(":", "").lower() == store.default_ca.fingerprint().hex()
    assert store.default_chain_certs[-1].to_pem() == (confdir / "mitmproxy-ca-cert.pem").read_bytes()
    assert store.default_privatekey.public_key() == store.default_ca.public_key()


def test_a_ca_made_by_us_may_sign_for_hosts_of_the_table_and_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aitap.toml").write_text(
        '[[provider]]\nname = "ours"\ntype = "openai"\nhosts = ["llm.example.com"]\nroutes = "compatible"\n'
    )
    monkeypatch.setenv("AITAP_CONFIG", str(tmp_path / "aitap.toml"))
    found = facts(ensure_authority(tmp_path / "conf"))
    assert found.kind == "constrained"
    assert found.signer is not None
    assert {"api.anthropic.com", "llm.example.com"} <= set(found.signer.dns or ())


def test_a_ca_made_by_mitmproxy_is_kept(tmp_path: Path) -> None:
    made = CertStore.from_store(tmp_path, "mitmproxy", 2048).default_ca
    assert certificates(made.to_pem()) == [ensure_authority(tmp_path).der]
    assert facts(ensure_authority(tmp_path)).kind == "unconstrained"


def test_the_key_is_readable_by_its_owner_alone(confdir: Path) -> None:
    if os.name == "posix":
        assert stat.S_IMODE((confdir / "mitmproxy-ca.pem").stat().st_mode) & 0o077 == 0
    assert b"PRIVATE KEY" not in ensure_authority(confdir).path.read_bytes()
    assert not [path for path in confdir.iterdir() if path.name.startswith(".")]


def test_facts_say_what_the_certificate_says(confdir: Path) -> None:
    found = facts(ensure_authority(confdir))
    assert found.path == str(confdir / "mitmproxy-ca-cert.pem")
    assert "CN=aitap root" in found.subject
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", found.sha256)
    assert found.not_before < datetime.now(UTC) < found.not_after


def test_a_certificate_file_that_is_missing_or_stale_follows_the_signing_one(tmp_path: Path) -> None:
    der = ensure_authority(tmp_path).der
    public = tmp_path / "mitmproxy-ca-cert.pem"
    public.unlink()
    assert ensure_authority(tmp_path).der == der
    public.write_text(ssl.DER_cert_to_PEM_cert(b"another"))
    assert ensure_authority(tmp_path).der == der
    assert certificates(public.read_bytes()) == [der]


def test_who_has_the_certificate_alone_can_use_it(tmp_path: Path) -> None:
    der = ensure_authority(tmp_path).der
    (tmp_path / "mitmproxy-ca.pem").unlink()
    assert ensure_authority(tmp_path).der == der
    assert not (tmp_path / "mitmproxy-ca.pem").exists()


def test_many_at_once_agree_on_one_ca(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: ensure_authority(tmp_path).der, range(4)))
    assert found == {ensure_authority(tmp_path).der}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_certificate_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mitmproxy-ca.pem").write_bytes(content)
    with pytest.raises(AuthorityError, match="no certificate"):
        ensure_authority(tmp_path)


def test_a_certificate_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mitmproxy-ca.pem").write_text(ssl.DER_cert_to_PEM_cert(b"not a certificate"))
    with pytest.raises(AuthorityError, match=r"mitmproxy-ca-cert\.pem"):
        facts(ensure_authority(tmp_path))


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuthorityError, match="file"):
        ensure_authority(tmp_path / "file" / "conf")
