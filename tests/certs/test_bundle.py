"""The bundle holds the system's roots and our CA, and is never seen half written."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from aitap.certs.authority import Authority, AuthorityError, certificates, ensure_authority
from aitap.certs.bundle import bundle_text, system_roots, write_bundle


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("ca"))


def pem(path: Path, *ders: bytes) -> str:
    path.write_text("".join(ssl.DER_cert_to_PEM_cert(der) for der in ders))
    return str(path)


def test_a_tls_context_loads_our_ca_and_the_roots(authority: Authority) -> None:
    context = ssl.create_default_context(cafile=write_bundle(authority))
    loaded = context.get_ca_certs(binary_form=True)
    assert authority.der in loaded
    assert len(loaded) > 20


def test_our_ca_is_first_and_nothing_comes_twice(authority: Authority) -> None:
    text = bundle_text(authority, [b"a", authority.der, b"b", b"a"])
    assert certificates(text) == [authority.der, b"a", b"b"]


def test_a_bundle_that_is_up_to_date_is_left_alone(authority: Authority) -> None:
    path = write_bundle(authority)
    before = path.stat().st_mtime_ns
    assert write_bundle(authority).stat().st_mtime_ns == before
    path.write_text("old")
    assert authority.der in certificates(write_bundle(authority).read_bytes())


def test_what_ssl_cert_file_names_comes_on_top(tmp_path: Path) -> None:
    extra, system = pem(tmp_path / "company.pem", b"company"), pem(tmp_path / "system.pem", b"root")
    found = system_roots({"SSL_CERT_FILE": extra}, [system])
    assert found[0] == b"company"
    assert set(found) > {b"company"}


def test_our_own_bundle_is_no_source_of_roots(tmp_path: Path) -> None:
    own = pem(tmp_path / "aitap-ca-bundle.pem", b"old ca")
    assert b"old ca" not in system_roots({"SSL_CERT_FILE": own})


def test_a_machine_without_roots_gets_those_of_certifi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = ssl.DefaultVerifyPaths(None, None, "", str(tmp_path / "none"), "", str(tmp_path / "none"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    assert len(system_roots({}, [])) > 20


def test_a_folder_of_single_roots_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    pem(folder / "a.pem", b"a")
    pem(folder / "b.0", b"b")
    paths = ssl.DefaultVerifyPaths(None, None, "", str(tmp_path / "none"), "", str(folder))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert system_roots({}, []) == [b"a", b"b"]


def test_a_place_that_cannot_be_written_is_an_error(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="missing"):
        write_bundle(authority, tmp_path / "missing" / "bundle.pem")
