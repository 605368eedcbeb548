"""What is told of the CA: its dates, its keys' modes, its limits, its bundle."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from aitap.certs.authority import DEFAULT_CONFDIR, ensure_authority
from aitap.certs.bundle import write_bundle
from aitap.certs.proxy_address import parse
from aitap.checkup.authority import check_authority
from tests.checkup.making import DAY, NOW, found, make_ca, situation


def status(confdir: Path, check: str, **fields: object) -> list[str]:
    return [finding.status for finding in found(check_authority(situation(confdir, **fields)), check)]


def test_a_ca_that_is_not_there_is_a_problem_and_none_is_made(tmp_path: Path) -> None:
    missing = found(check_authority(situation(tmp_path / "none")), "ca.file")
    assert [one.status for one in missing] == ["problem"]
    assert "aitap ca init" in str(missing[0].fix)
    assert not (tmp_path / "none").exists()


def test_our_own_ca_passes_every_check(tmp_path: Path) -> None:
    write_bundle(ensure_authority(tmp_path))
    findings = list(check_authority(situation(tmp_path)))
    assert {finding.status for finding in findings} == {"ok"}, findings
    assert {finding.check for finding in findings} >= {
        "ca.file",
        "ca.fingerprint",
        "ca.expiry",
        "ca.key",
        "ca.limits",
        "ca.bundle",
    }


@pytest.mark.parametrize(
    ("ends", "expected"), [(timedelta(days=-1), "problem"), (timedelta(days=20), "warning"), (timedelta(days=31), "ok")]
)
def test_a_ca_that_expired_is_a_problem_and_one_that_soon_will_a_warning(
    ends: timedelta, expected: str, tmp_path: Path
) -> None:
    make_ca(tmp_path, NOW - 100 * DAY, NOW + ends)
    assert status(tmp_path, "ca.expiry") == [expected]


def test_a_ca_that_begins_later_tells_of_a_wrong_clock(tmp_path: Path) -> None:
    make_ca(tmp_path, NOW + DAY)
    assert status(tmp_path, "ca.clock") == ["problem"]


@pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")
def test_a_key_that_others_may_read_is_a_problem(tmp_path: Path) -> None:
    make_ca(tmp_path)
    assert status(tmp_path, "ca.key") == ["ok"]
    (tmp_path / "mitmproxy-ca.pem").chmod(0o640)
    (loose,) = found(check_authority(situation(tmp_path)), "ca.key")
    assert loose.status == "problem"
    assert loose.fix == f"chmod 600 {tmp_path / 'mitmproxy-ca.pem'}"


@pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")
def test_a_folder_into_which_others_may_write_is_a_problem(tmp_path: Path) -> None:
    make_ca(tmp_path)
    tmp_path.chmod(0o777)
    assert status(tmp_path, "ca.folder") == ["problem"]


def test_a_ca_that_may_sign_for_any_host_is_a_warning_unless_that_is_needed(tmp_path: Path) -> None:
    make_ca(tmp_path)
    assert status(tmp_path, "ca.limits") == ["warning"]
    assert status(tmp_path, "ca.limits", environ={"AITAP_DECRYPT": "all"}) == ["ok"]


def test_a_ca_for_ai_hosts_alone_cannot_do_what_decrypt_all_asks(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    assert status(tmp_path, "ca.limits", environ={"AITAP_DECRYPT": "all"}) == ["problem"]


def test_a_host_of_ones_own_that_the_ca_may_not_sign_for_is_a_problem(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    file = tmp_path / "aitap.toml"
    file.write_text('[[provider]]\nname = "own"\ntype = "openai"\nhosts = ["llm.example.com"]\nroutes = "compatible"\n')
    assert status(tmp_path, "ca.limits", environ={"AITAP_CONFIG": str(file)}) == ["problem"]


def test_a_bundle_of_another_ca_is_a_problem(tmp_path: Path) -> None:
    write_bundle(ensure_authority(tmp_path))
    assert status(tmp_path, "ca.bundle") == ["ok"]
    make_ca(tmp_path)
    assert status(tmp_path, "ca.bundle") == ["problem"]


@pytest.mark.parametrize(("named", "told"), [("HTTPS_PROXY", True), ("--proxy", False)])
def test_a_proxy_that_may_be_a_companys_is_not_only_asked_for_its_ca(tmp_path: Path, named: str, told: bool) -> None:
    there = parse("http://corp.example:3128")
    [finding] = check_authority(situation(DEFAULT_CONFDIR.expanduser(), here=False, proxy=there, proxy_from=named))
    assert finding.fix is not None
    assert "`aitap ca fetch http://corp.example:3128`" in finding.fix
    assert ("AITAP_UPSTREAM" in finding.fix) == told


@pytest.mark.parametrize(("key", "told"), [("alice:KEY@", True), ("", False)])
def test_who_shows_a_key_at_loopback_may_be_at_the_end_of_a_tunnel(tmp_path: Path, key: str, told: bool) -> None:
    [finding] = found(check_authority(situation(tmp_path, proxy=parse(f"http://{key}127.0.0.1:8081"))), "ca.file")
    assert finding.fix is not None
    assert ("`aitap ca fetch http://127.0.0.1:8081`" in finding.fix) == told


def test_a_client_of_a_proxy_elsewhere_needs_the_certificate_and_no_key(tmp_path: Path) -> None:
    make_ca(tmp_path / "proxy")
    there = tmp_path / "proxy" / "mitmproxy-ca-cert.pem"
    findings = list(check_authority(situation(tmp_path / "here", here=False, ca_file=there)))
    assert found(findings, "ca.file")[0].status == "ok"
    assert not found(findings, "ca.key")
    assert not (tmp_path / "here").exists()
