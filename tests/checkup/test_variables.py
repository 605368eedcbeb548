"""What is told of a shell's variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from aitap.certs.authority import ensure_authority
from aitap.certs.bundle import write_bundle
from aitap.certs.environment import ADDED, REPLACED, proxy_variables
from aitap.checkup.finding import Finding
from aitap.checkup.variables import check_variables
from tests.checkup.making import found, make_ca, situation

PROXY = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    write_bundle(ensure_authority(folder))
    return folder


@pytest.fixture
def environ(confdir: Path) -> dict[str, str]:
    """What `aitap env` sets."""
    return proxy_variables(PROXY, str(confdir / "mitmproxy-ca-cert.pem"), str(confdir / "aitap-ca-bundle.pem"))


def look(confdir: Path, environ: dict[str, str]) -> list[Finding]:
    return list(check_variables(situation(confdir, environ=environ)))


def test_what_env_sets_is_all_right(confdir: Path, environ: dict[str, str]) -> None:
    assert {finding.status for finding in look(confdir, environ)} == {"ok"}


def test_a_shell_without_any_is_one_warning(confdir: Path) -> None:
    (finding,) = look(confdir, {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"})
    assert (finding.check, finding.status) == ("shell.proxy", "warning")
    assert "aitap exec" in str(finding.fix)


@pytest.mark.parametrize("name", [*ADDED, *REPLACED, "NODE_USE_ENV_PROXY", "https_proxy"])
def test_each_variable_that_is_missing_is_named(name: str, confdir: Path, environ: dict[str, str]) -> None:
    del environ[name]
    (finding,) = [one for one in look(confdir, environ) if one.status != "ok"]
    assert finding.status == "warning"
    assert name in finding.what


@pytest.mark.parametrize("name", [*ADDED, *REPLACED])
def test_each_file_that_is_not_there_is_a_problem(name: str, confdir: Path, environ: dict[str, str]) -> None:
    environ[name] = "/no/such/file.pem"
    (finding,) = [one for one in look(confdir, environ) if one.status != "ok"]
    assert finding.status == "problem"
    assert finding.what == f"{name} names /no/such/file.pem: No such file or directory"


def test_a_file_of_an_older_ca_is_a_problem(confdir: Path, environ: dict[str, str], tmp_path: Path) -> None:
    make_ca(tmp_path)
    environ["NODE_EXTRA_CA_CERTS"] = str(tmp_path / "mitmproxy-ca-cert.pem")
    (finding,) = [one for one in look(confdir, environ) if one.status != "ok"]
    assert finding.status == "problem"
    assert "does not hold the proxy's CA" in finding.what


def test_the_ca_alone_where_a_store_is_replaced_is_a_warning(confdir: Path, environ: dict[str, str]) -> None:
    environ["SSL_CERT_FILE"] = environ["NODE_EXTRA_CA_CERTS"]
    (finding,) = [one for one in look(confdir, environ) if one.status != "ok"]
    assert finding.status == "warning"
    assert "SSL_CERT_FILE" in finding.what


def test_a_stale_address_is_a_problem_and_its_key_is_not_told(confdir: Path, environ: dict[str, str]) -> None:
    environ["https_proxy"] = "http://alice:aitap_planted-secret@127.0.0.1:9999"
    findings = found(look(confdir, environ), "shell.proxy")
    assert any(
        one.status == "problem" and one.what.startswith("https_proxy leads to http://alice:***@127.0.0.1:9999")
        for one in findings
    )
    assert "planted-secret" not in str(findings)


def test_two_cases_that_differ_are_a_problem(confdir: Path, environ: dict[str, str]) -> None:
    environ["https_proxy"] = "http://localhost:8080"
    (finding,) = [one for one in look(confdir, environ) if one.status != "ok"]
    assert finding.what == "HTTPS_PROXY and https_proxy differ, and clients read one or the other"


def test_http_proxy_alone_is_a_problem(confdir: Path, environ: dict[str, str]) -> None:
    del environ["HTTPS_PROXY"], environ["https_proxy"]
    assert any(one.status == "problem" and "HTTPS_PROXY is not set" in one.what for one in look(confdir, environ))


@pytest.mark.parametrize("entry", ["*", "anthropic.com", ".anthropic.com", "*.anthropic.com", "api.anthropic.com:443"])
def test_a_no_proxy_that_leads_ai_hosts_past_the_proxy_is_a_problem(
    entry: str, confdir: Path, environ: dict[str, str]
) -> None:
    environ["NO_PROXY"] = f"localhost,127.0.0.1,::1,{entry}"
    (finding,) = [one for one in look(confdir, environ) if one.status != "ok"]
    assert (finding.check, finding.status) == ("shell.direct", "problem")


def test_a_no_proxy_of_other_hosts_is_none(confdir: Path, environ: dict[str, str]) -> None:
    environ["NO_PROXY"] = environ["no_proxy"] = "localhost,127.0.0.1,::1,.corp.example,10.0.0.0/8,c.com"
    assert {finding.status for finding in look(confdir, environ)} == {"ok"}


def test_loopback_through_the_proxy_is_a_warning(confdir: Path, environ: dict[str, str]) -> None:
    environ["NO_PROXY"] = environ["no_proxy"] = "localhost"
    (finding,) = [one for one in look(confdir, environ) if one.status != "ok"]
    assert finding.what.startswith("NO_PROXY lacks 127.0.0.1, ::1")


def test_verification_that_is_switched_off_is_a_problem(confdir: Path, environ: dict[str, str]) -> None:
    environ["NODE_TLS_REJECT_UNAUTHORIZED"] = "0"
    assert [one.status for one in found(look(confdir, environ), "shell.unverified")] == ["problem"]


def test_a_base_url_that_moves_calls_elsewhere_is_a_warning(confdir: Path, environ: dict[str, str]) -> None:
    environ["ANTHROPIC_BASE_URL"] = "https://llm.corp.example/v1"
    environ["OPENAI_BASE_URL"] = "https://api.openai.com/v1"
    (finding,) = found(look(confdir, environ), "shell.base_url")
    assert "llm.corp.example" in finding.what


def test_variables_that_name_one_stale_file_are_one_problem(
    confdir: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    make_ca(tmp_path)
    environ |= dict.fromkeys(REPLACED, str(tmp_path / "mitmproxy-ca-cert.pem"))
    (finding,) = [one for one in look(confdir, environ) if one.status == "problem"]
    assert all(name in finding.what for name in REPLACED)
