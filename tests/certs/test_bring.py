"""A CA of one's own is checked whole before the proxy signs with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from aitap.certs import bring
from aitap.certs.authority import AuthorityError, ensure_authority, facts
from aitap.certs.bring import read_authority
from aitap.certs.confdir import install
from aitap.certs.issue import pem
from tests.certs.chains import Signer, authority, signer_of, verify, write


@pytest.fixture
def company() -> Signer:
    return authority("company proxy CA", authority("company root", path_length=1), path_length=0)


def test_an_intermediate_signs_and_clients_trust_the_company_s_root(company: Signer, tmp_path: Path) -> None:
    files = write(tmp_path, company)
    confdir = tmp_path / "conf"
    assert install(confdir, *read_authority(files["cert"], files["key"], files["chain"]))
    trusted = ensure_authority(confdir)
    assert trusted.der == company.root.public_bytes(serialization.Encoding.DER)
    assert "company proxy CA" in facts(trusted).signer.subject  # type: ignore[union-attr]
    signer = signer_of(confdir)
    assert verify(signer, signer.leaf("example.com"), tmp_path) == "leaf.pem: OK\n"


def test_a_self_signed_ca_needs_no_chain(tmp_path: Path) -> None:
    own = authority("own", key=rsa.generate_private_key(65537, 2048))
    files = write(tmp_path, own)
    assert read_authority(files["cert"], files["key"])[1] == own.chain


def test_the_chain_may_stand_in_the_certificate_s_file_in_any_order(tmp_path: Path) -> None:
    top = authority("top")
    company = authority("proxy", authority("middle", top))
    files = write(tmp_path, company)
    files["cert"].write_bytes(pem(company.chain[0], company.chain[2], company.chain[1]))
    assert read_authority(files["cert"], files["key"])[1] == company.chain


def test_a_root_that_the_machine_trusts_need_not_be_given(
    company: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(tmp_path, company)
    monkeypatch.setattr(bring, "system_roots", lambda: [company.root.public_bytes(serialization.Encoding.DER)])
    assert read_authority(files["cert"], files["key"])[1] == company.chain


def test_an_incomplete_chain_names_what_is_missing(
    company: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(tmp_path, company)
    monkeypatch.setattr(bring, "system_roots", list)
    with pytest.raises(AuthorityError, match=r"CN=company root is missing; give it by --chain"):
        read_authority(files["cert"], files["key"])


def test_a_namesake_of_the_issuer_does_not_count(
    company: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(tmp_path, company)
    files["chain"].write_bytes(pem(authority("company root").root))
    monkeypatch.setattr(bring, "system_roots", list)
    with pytest.raises(AuthorityError, match="chain is not complete"):
        read_authority(files["cert"], files["key"], files["chain"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: authority("a", ca=False), "CN=a is no CA"),
        (lambda: authority("a", sign=False), "lacks keyCertSign"),
        (lambda: authority("a", days=(-9, -1)), "CN=a expired on"),
        (lambda: authority("a", days=(1, 9)), "is valid from"),
        (lambda: authority("a", authority("b", days=(-9, -1))), "CN=b expired on"),
        (lambda: authority("a", authority("b", path_length=0)), r"CN=b allows no CA below it \(path length 0\)"),
        (
            lambda: authority("a", extensions=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),)),
            "lacks serverAuth",
        ),
    ],
)
def test_a_certificate_that_cannot_sign_is_refused(make: Callable[[], Signer], said: str, tmp_path: Path) -> None:
    files = write(tmp_path, make())
    with pytest.raises(AuthorityError, match=said):
        read_authority(files["cert"], files["key"], files["chain"] if files["chain"].stat().st_size else None)


def test_a_key_of_another_certificate_is_refused(company: Signer, tmp_path: Path) -> None:
    files = write(tmp_path, company)
    files["key"].write_bytes(_private(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(AuthorityError, match=r"key\.pem is not the key of .*cert\.pem"):
        read_authority(files["cert"], files["key"], files["chain"])


def test_an_encrypted_key_needs_its_passphrase(company: Signer, tmp_path: Path) -> None:
    files = write(tmp_path, company)
    files["key"].write_bytes(_private(company.key, b"swordfish"))
    arguments = files["cert"], files["key"], files["chain"]
    with pytest.raises(AuthorityError, match="name a file with its passphrase by --passphrase-file"):
        read_authority(*arguments)
    with pytest.raises(AuthorityError, match="cannot be read with this passphrase"):
        read_authority(*arguments, b"wrong")
    assert read_authority(*arguments, b"swordfish")[1] == company.chain


def test_a_passphrase_for_a_key_without_one_does_not_matter(company: Signer, tmp_path: Path) -> None:
    files = write(tmp_path, company)
    assert read_authority(files["cert"], files["key"], files["chain"], b"needless")[1] == company.chain


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cert", b"\x30\x82", "holds no PEM certificate"),
        ("key", b"nonsense", "holds no PEM key"),
        ("chain", b"", "holds no PEM certificate"),
        ("key", None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    company: Signer, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    files = write(tmp_path, company)
    if content is None:
        files[name].unlink()
    else:
        files[name].write_bytes(content)
    with pytest.raises(AuthorityError, match=rf"{name}\.pem.*{said}"):
        read_authority(files["cert"], files["key"], files["chain"])


def test_a_kind_of_key_that_mitmproxy_cannot_sign_with_is_refused(company: Signer, tmp_path: Path) -> None:
    files = write(tmp_path, company)
    files["key"].write_bytes(_private(ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(AuthorityError, match="RSA and EC keys only"):
        read_authority(files["cert"], files["key"], files["chain"])


def test_another_kind_of_key_identifier_is_used_or_refused_as_mitmproxy_can(tmp_path: Path) -> None:
    """mitmproxy before 12.2.3 reckons it anew: clients would then refuse the leaf, so it is said beforehand."""
    own = authority("own", identifier=bytes(range(20)))
    files = write(tmp_path, own)
    if "OK" in verify(own, own.leaf("a.test"), tmp_path):
        assert read_authority(files["cert"], files["key"])[1] == own.chain
    else:
        with pytest.raises(AuthorityError, match="reckons the key identifier"):
            read_authority(files["cert"], files["key"])


def _private(key: Any, passphrase: bytes | None = None) -> bytes:
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    text: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    return text
