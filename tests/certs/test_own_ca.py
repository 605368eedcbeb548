"""Our own CA: its certificates, its files, and its renewal under the same root."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from mitmproxy.certs import CertStore

from aitap.certs.authority import ROOT, SIGNING, AuthorityError, certificates, ensure_authority, facts
from aitap.certs.confdir import install
from aitap.certs.constraints import permitted_by
from aitap.certs.issue import make_intermediate, make_root
from aitap.certs.own_ca import create, reason_to_renew, renew, signing_chain
from aitap.certs.permitted import Permitted
from tests.certs.chains import authority, signer_of, verify

HOSTS = Permitted(("api.anthropic.com",), ("10.0.0.1",))


@pytest.fixture
def confdir(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    assert create(folder, HOSTS)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_root_may_have_one_ca_below_it_and_the_intermediate_none(confdir: Path) -> None:
    lengths = [
        one.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        for one in signing_chain(confdir)
    ]
    assert lengths == [0, 1]


def test_keys_are_ec_and_for_signing_certificates_alone(confdir: Path) -> None:
    for certificate in signing_chain(confdir):
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, False)


def test_the_constraints_are_critical_and_close_what_they_do_not_open(confdir: Path) -> None:
    found = signing_chain(confdir)[0].extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    assert permitted_by(signing_chain(confdir)[0]) == HOSTS
    # IPv4 is open for one address, IPv6 for none.
    assert [str(name.value) for name in found.value.excluded_subtrees or []] == ["::/0"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("api.anthropic.com",), ": OK"),
        (("eu.api.anthropic.com",), ": OK"),
        (("10.0.0.1",), ": OK"),
        (("example.com",), "permitted subtree violation"),
        (("api.anthropic.com", "example.com"), "permitted subtree violation"),
        (("10.0.0.2",), "permitted subtree violation"),
        (("::1",), "subtree violation"),
    ],
)
def test_openssl_takes_leaves_for_permitted_names_alone(
    confdir: Path, tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    signer = signer_of(confdir)
    assert said in verify(signer, signer.leaf(*names), tmp_path)


def test_an_unconstrained_ca_may_sign_for_any_host(tmp_path: Path) -> None:
    create(tmp_path / "conf", None)
    signer = signer_of(tmp_path / "conf")
    assert verify(signer, signer.leaf("example.com"), tmp_path) == "leaf.pem: OK\n"
    assert facts(ensure_authority(tmp_path / "conf")).kind == "unconstrained"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_keys_are_their_owners_alone(confdir: Path) -> None:
    renew(confdir, HOSTS)
    assert mode(confdir) == 0o700
    for path in confdir.iterdir():
        secret = b"PRIVATE KEY" in path.read_bytes()
        assert secret == (path.name in (SIGNING, ROOT))
        assert mode(path) == 0o600 if secret else mode(path) & 0o200


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_key_that_others_could_read_is_theirs_no_more_after_renewal(confdir: Path) -> None:
    (confdir / SIGNING).chmod(0o644)
    renew(confdir, HOSTS)
    assert mode(confdir / SIGNING) == 0o600


def test_clients_trust_the_root_in_every_form(confdir: Path) -> None:
    root = signing_chain(confdir)[-1]
    for name in ("mitmproxy-ca-cert.pem", "mitmproxy-ca-cert.cer"):
        assert x509.load_pem_x509_certificate((confdir / name).read_bytes()) == root
    key, _, others = pkcs12.load_key_and_certificates((confdir / "mitmproxy-ca-cert.p12").read_bytes(), None)
    assert key is None
    assert others == [root]
    assert ensure_authority(confdir).der in certificates((confdir / SIGNING).read_bytes())[-1:]


def test_a_ca_that_is_there_is_not_overwritten(confdir: Path) -> None:
    before = (confdir / SIGNING).read_bytes()
    assert not create(confdir, HOSTS)
    assert (confdir / SIGNING).read_bytes() == before
    assert not [path for path in confdir.iterdir() if path.is_dir()]


def test_what_is_replaced_is_kept(confdir: Path) -> None:
    (confdir / "mitmproxy-ca.p12").write_bytes(b"of mitmproxy's own CA")
    before = {path.name: path.read_bytes() for path in confdir.iterdir()}
    assert create(confdir, HOSTS, replace=True)
    (kept,) = [path for path in confdir.iterdir() if path.is_dir()]
    del before["mitmproxy-dhparam.pem"]
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert mode(kept) == 0o700
    assert not (confdir / "mitmproxy-ca.p12").exists()
    assert (confdir / SIGNING).read_bytes() != before[SIGNING]


def test_renewal_keeps_the_root_and_changes_the_rest(confdir: Path) -> None:
    trusted, before = ensure_authority(confdir).der, signing_chain(confdir)
    made = renew(confdir, Permitted(("chatgpt.com",), ()))
    after = signing_chain(confdir)
    assert after == [made, before[1]]
    assert made.public_key() != before[0].public_key()
    assert made.subject != before[0].subject
    assert permitted_by(made) == Permitted(("chatgpt.com",), ())
    assert ensure_authority(confdir).der == trusted


def test_renewal_is_due_sixty_days_before_the_end(confdir: Path) -> None:
    end = signing_chain(confdir)[0].not_valid_after_utc
    assert reason_to_renew(confdir, HOSTS, end - timedelta(days=61)) is None
    assert "59 more days" in str(reason_to_renew(confdir, HOSTS, end - timedelta(days=59, hours=23)))


def test_renewal_is_due_where_a_host_is_not_covered(confdir: Path) -> None:
    assert reason_to_renew(confdir, Permitted(("eu.api.anthropic.com",), ())) is None
    assert "may not sign for all hosts" in str(reason_to_renew(confdir, Permitted(("chatgpt.com",), ())))


def test_an_unconstrained_ca_covers_every_host(tmp_path: Path) -> None:
    create(tmp_path, None)
    assert reason_to_renew(tmp_path, HOSTS) is None


def test_the_intermediate_never_outlives_the_root() -> None:
    now = datetime.now(UTC)
    key, root = make_root(now - timedelta(days=3600))
    assert make_intermediate(key, root, HOSTS, now)[1].not_valid_after_utc == root.not_valid_after_utc


def test_an_intermediate_that_is_made_while_the_clock_is_ahead_is_good_when_it_is_right_again() -> None:
    now = datetime.now(UTC)
    key, root = make_root(now)
    made = make_intermediate(key, root, HOSTS, now + timedelta(days=400))[1]
    assert made.not_valid_before_utc <= now < made.not_valid_after_utc


def test_renewal_without_the_root_key_says_to_bring_it(confdir: Path, tmp_path: Path) -> None:
    offline = (confdir / ROOT).rename(tmp_path / "offline.pem")
    with pytest.raises(AuthorityError, match="put it back, or name it with --root"):
        renew(confdir, HOSTS)
    assert renew(confdir, HOSTS, offline) == signing_chain(confdir)[0]


def test_a_root_that_clients_do_not_trust_is_refused(confdir: Path, tmp_path: Path) -> None:
    create(tmp_path / "other", HOSTS)
    with pytest.raises(AuthorityError, match="is not the root of the CA"):
        renew(confdir, HOSTS, tmp_path / "other" / ROOT)
    (confdir / ROOT).write_text("nonsense")
    with pytest.raises(AuthorityError, match="holds no unencrypted key"):
        renew(confdir, HOSTS)


def test_a_ca_of_others_is_neither_due_nor_renewed(tmp_path: Path) -> None:
    CertStore.create_store(tmp_path, "mitmproxy", 2048)
    assert reason_to_renew(tmp_path, HOSTS) is None
    with pytest.raises(AuthorityError, match="was not made here"):
        renew(tmp_path, HOSTS)


def test_a_company_s_intermediate_is_never_due(tmp_path: Path) -> None:
    company = authority("company proxy", authority("company root"), days=(-1, 5))
    install(tmp_path, company.key, company.chain)
    assert reason_to_renew(tmp_path, HOSTS) is None


def test_facts_tell_root_and_signer_apart(confdir: Path) -> None:
    found = facts(ensure_authority(confdir))
    assert (found.kind, found.root_key) == ("constrained", str(confdir / ROOT))
    assert found.signer is not None
    assert found.signer.sha256 != found.sha256
    assert (found.signer.dns, found.signer.addresses) == (HOSTS.dns, HOSTS.addresses)
    assert found.signer.not_after < found.not_after
