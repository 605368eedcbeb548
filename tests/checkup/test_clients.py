"""Installed clients against what they heed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aitap.checkup.clients import check_clients, node_heeds_proxies
from aitap.checkup.finding import Finding
from tests.checkup.making import situation

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs as POSIX has them")

PROXY = "http://127.0.0.1:8080"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install(folder: Path, name: str, says: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def look(folder: Path, client: str | None = None, **environ: str) -> list[Finding]:
    return list(check_clients(situation(folder, client=client, environ={"PATH": str(folder)} | environ)))


def test_only_what_is_on_path_is_told(programs: Path) -> None:
    assert look(programs) == []
    install(programs, "claude")
    assert [one.check for one in look(programs)] == ["client.claude"]


def test_a_client_that_heeds_what_is_set_is_all_right(programs: Path) -> None:
    install(programs, "codex")
    (finding,) = look(programs, HTTPS_PROXY=PROXY, CODEX_CA_CERTIFICATE="/b.pem")
    assert (finding.status, finding.what) == ("ok", "Codex is set up: HTTPS_PROXY, CODEX_CA_CERTIFICATE")


def test_a_client_that_heeds_none_of_the_proxy_variables_set_is_a_problem(programs: Path) -> None:
    install(programs, "opencode")
    (finding,) = look(programs, HTTP_PROXY=PROXY, SSL_CERT_FILE="/b.pem")
    assert finding.status == "problem"
    assert "goes past the proxy" in finding.what


def test_a_client_that_heeds_none_of_the_ca_variables_set_is_a_problem(programs: Path) -> None:
    install(programs, "codex")
    (finding,) = look(programs, HTTPS_PROXY=PROXY, NODE_EXTRA_CA_CERTS="/ca.pem")
    assert finding.status == "problem"
    assert finding.what == "Codex does not trust the CA: it heeds CODEX_CA_CERTIFICATE or SSL_CERT_FILE alone"


def test_a_desktop_program_is_told_its_own_way(programs: Path) -> None:
    install(programs, "cursor")
    (finding,) = look(programs)
    assert "system's store" in finding.what


@pytest.mark.parametrize(
    ("version", "heeds"),
    [
        ("v20.20.2", False),
        ("v22.20.0", False),
        ("v22.21.0", True),
        ("v23.11.0", False),
        ("v24.0.0", True),
        ("v26.1.0", True),
    ],
)
def test_the_version_of_node_counts(version: str, heeds: bool, programs: Path) -> None:
    install(programs, "node", version)
    (finding,) = look(programs)
    assert finding.status == ("ok" if heeds else "warning")
    assert node_heeds_proxies(tuple(int(part) for part in version[1:].split("."))) is heeds


def test_a_node_that_is_not_told_to_use_the_proxy_is_a_problem(programs: Path) -> None:
    install(programs, "node", "v24.1.0")
    (finding,) = look(programs, HTTPS_PROXY=PROXY)
    assert finding.status == "problem"
    assert "NODE_USE_ENV_PROXY=1" in finding.what


def test_one_client_comes_with_its_traps_and_without_the_others(programs: Path) -> None:
    install(programs, "claude")
    install(programs, "codex")
    findings = look(programs, "codex")
    assert {one.check for one in findings} == {"client.codex"}
    assert any("WebSocket" in one.what for one in findings)


def test_one_client_that_is_not_there_is_a_warning(programs: Path) -> None:
    assert [one.status for one in look(programs, "goose")] == ["warning"]
