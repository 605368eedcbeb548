"""``aitap ca init`` and ``renew``: what is made, what is refused, and in what words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from aitap.certs.authority import ensure_authority, facts
from tests.certs.chains import authority, write
from tests.export.conftest import Invoke


@pytest.fixture
def confdir(tmp_path: Path) -> Path:
    return tmp_path / "conf"


def shown(invoke: Invoke, confdir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoke("ca", "show", "--confdir", str(confdir)).stdout)
    return found


def test_init_makes_a_constrained_ca_and_prints_what_to_trust(invoke: Invoke, confdir: Path) -> None:
    result = invoke("ca", "init", "--confdir", str(confdir))
    assert result.stdout == f"{confdir}/mitmproxy-ca-cert.pem\n"
    found = shown(invoke, confdir)
    assert found["sha256"] in result.stderr
    assert found["kind"] == "constrained"
    assert "api.anthropic.com" in found["signer"]["dns"]
    assert found["root_key"] == str(confdir / "aitap-root.pem")


def test_init_unconstrained_makes_one_for_any_host(invoke: Invoke, confdir: Path) -> None:
    invoke("ca", "init", "--confdir", str(confdir), "--unconstrained")
    found = shown(invoke, confdir)
    assert (found["kind"], found["signer"]["dns"]) == ("unconstrained", None)


def test_init_leaves_a_ca_that_is_there_alone(invoke: Invoke, confdir: Path) -> None:
    invoke("ca", "init", "--confdir", str(confdir))
    before = shown(invoke, confdir)["sha256"]
    message = invoke("ca", "init", "--confdir", str(confdir), status=1).stderr
    assert "holds a CA already" in message
    assert "--force" in message
    assert shown(invoke, confdir)["sha256"] == before
    invoke("ca", "init", "--confdir", str(confdir), "--force")
    assert shown(invoke, confdir)["sha256"] != before
    assert len([path for path in confdir.iterdir() if path.is_dir()]) == 1


def test_a_company_s_ca_is_taken_in_with_an_encrypted_key(invoke: Invoke, confdir: Path, tmp_path: Path) -> None:
    company = authority("company proxy", authority("company root"))
    files = write(tmp_path, company)
    how = serialization.BestAvailableEncryption(b"swordfish")
    files["key"].write_bytes(
        company.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    )
    (tmp_path / "pass").write_text("swordfish\n")
    given = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    refused = invoke("ca", "init", "--confdir", str(confdir), *given, status=1).stderr
    assert "--passphrase-file" in refused
    assert not confdir.exists()
    result = invoke("ca", "init", "--confdir", str(confdir), *given, "--passphrase-file", str(tmp_path / "pass"))
    assert "swordfish" not in result.output
    found = shown(invoke, confdir)
    assert (found["subject"], found["signer"]["subject"]) == ("CN=company root", "CN=company proxy")
    assert found["root_key"] is None


def test_renewal_of_a_company_s_ca_is_the_company_s(invoke: Invoke, confdir: Path, tmp_path: Path) -> None:
    files = write(tmp_path, authority("company proxy", authority("company root")))
    invoke("ca", "init", "--confdir", str(confdir), *(f"--{name}={path}" for name, path in files.items()))
    message = invoke("ca", "renew", "--confdir", str(confdir), status=1).stderr
    assert "not made here" in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cert", "a.pem"], "--cert and --key go together"),
        (["--chain", "a.pem"], "go with --cert and --key"),
        (["--cert", "a.pem", "--key", "b.pem", "--unconstrained"], "--unconstrained is for a CA made here"),
    ],
)
def test_options_that_do_not_fit_are_refused(invoke: Invoke, confdir: Path, options: list[str], said: str) -> None:
    assert said in invoke("ca", "init", "--confdir", str(confdir), *options, status=2).stderr
    assert not confdir.exists()


def test_renew_keeps_the_root_and_the_kind(invoke: Invoke, confdir: Path) -> None:
    invoke("ca", "init", "--confdir", str(confdir), "--unconstrained")
    before = shown(invoke, confdir)
    invoke("ca", "renew", "--confdir", str(confdir))
    after = shown(invoke, confdir)
    assert (after["sha256"], after["kind"]) == (before["sha256"], "unconstrained")
    assert after["signer"]["sha256"] != before["signer"]["sha256"]


def test_renew_changes_the_kind_where_that_is_asked(invoke: Invoke, confdir: Path) -> None:
    invoke("ca", "init", "--confdir", str(confdir))
    invoke("ca", "renew", "--confdir", str(confdir), "--unconstrained")
    assert shown(invoke, confdir)["kind"] == "unconstrained"
    invoke("ca", "renew", "--confdir", str(confdir), "--constrained")
    assert shown(invoke, confdir)["kind"] == "constrained"


def test_renew_takes_a_root_that_is_kept_elsewhere(invoke: Invoke, confdir: Path, tmp_path: Path) -> None:
    invoke("ca", "init", "--confdir", str(confdir))
    offline = (confdir / "aitap-root.pem").rename(tmp_path / "offline.pem")
    assert "--root" in invoke("ca", "renew", "--confdir", str(confdir), status=1).stderr
    assert "valid until" in invoke("ca", "renew", "--confdir", str(confdir), "--root", str(offline)).stdout
    assert shown(invoke, confdir)["root_key"] is None


def test_renew_without_a_ca_is_one_line(invoke: Invoke, confdir: Path) -> None:
    assert "mitmproxy-ca.pem" in invoke("ca", "renew", "--confdir", str(confdir), status=1).stderr


def test_who_may_not_read_the_key_is_told_what_clients_trust(invoke: Invoke, confdir: Path) -> None:
    invoke("ca", "init", "--confdir", str(confdir))
    known = facts(ensure_authority(confdir))
    (confdir / "mitmproxy-ca.pem").unlink()
    found = shown(invoke, confdir)
    assert (found["sha256"], found["kind"], found["signer"]) == (known.sha256, "unknown", None)
